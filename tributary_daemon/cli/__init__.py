"""The command line ``trib``: parses, calls the client or the daemon, shows. It decides nothing."""
