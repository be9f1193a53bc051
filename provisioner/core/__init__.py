"""Values that every layer shares: addresses, diagnostics, unknowns, secrets, digests, units."""
