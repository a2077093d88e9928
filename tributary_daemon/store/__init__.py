"""What the store remembers: connections, migrations, queries. The only floor that talks to PostgreSQL."""
