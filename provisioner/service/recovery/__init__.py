"""Use-cases of disaster recovery."""
