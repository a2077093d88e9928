"""Where results of steps are kept to be used again: one small interface, a module for each kind of store."""
