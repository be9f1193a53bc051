"""Virtual machines on vSphere: what they are made of, how they are read, what a change does."""
