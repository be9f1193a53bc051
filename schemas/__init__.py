"""JSON Schemas of the manifest kinds, installed as ``provisioner_schemas``: data only."""
