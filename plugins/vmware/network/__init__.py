"""Networks: port groups of standard and of distributed switches."""
