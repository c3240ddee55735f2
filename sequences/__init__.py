"""Sequences, candidates, enrollments and the messages that they send."""
