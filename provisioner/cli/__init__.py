"""The command line: the only layer that reads the terminal and the environment."""
