"""Where things stand in the folder of a stack."""

from __future__ import annotations

STATE_FOLDER = ".provisioner"
"""Everything that is recorded about a stack; kept out of version control."""

NO_ENVIRONMENT = "default"
"""Folder of the state of a stack without an environment; therefore no environment's name."""
