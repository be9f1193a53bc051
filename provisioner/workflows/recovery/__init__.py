"""Disaster recovery: replication, stored plans, and the runbooks that carry them out."""
