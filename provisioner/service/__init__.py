"""Use-cases: the only door into the engine for the command line."""
