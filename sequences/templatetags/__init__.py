"""Filters of the sequence pages."""
