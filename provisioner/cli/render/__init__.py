"""How values look on a terminal and in a pipe: pure functions from values to lines of text."""
