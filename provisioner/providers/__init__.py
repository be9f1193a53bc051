"""The provider contract and the registry of installed plugins."""
