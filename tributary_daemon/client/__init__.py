"""What producers and operators use: submit, read, wait, steer. Shared by the CLI, Python and tests."""
