"""Snapshots of machines on vSphere."""
