"""Pure values of the domain; imports nothing but the standard library and ``errors``."""
