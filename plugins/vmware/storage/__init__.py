"""Datastores and what lies on them: disks and images."""
