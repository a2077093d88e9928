"""One file per command or group of commands; each is imported when its command is used."""
