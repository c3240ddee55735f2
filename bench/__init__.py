"""Measurements: `python -m bench` prints them and writes bench/results.md. Timed assertions are never tests."""
