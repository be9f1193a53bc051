"""From YAML text with positions to a validated, expanded stack."""
