"""What helps people write workflows: plans, graphs, formatting, conversion. It stores and executes nothing."""
