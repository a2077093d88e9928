"""Encryption of what users store: keys, sealed values, and how they are opened (docs/encryption.md)."""
