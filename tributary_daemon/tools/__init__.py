"""What helps people write workflows: plans, graphs, formatting, conversion. It executes nothing."""
