"""Hooks that Tributary ships, and how those of a configuration are made."""
