"""What the last apply recorded: entries, journal and the store that keeps them."""
