"""Labels as a vCenter itself shows them: tags, and custom attributes."""
