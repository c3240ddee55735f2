"""Pages of people and organizations."""
