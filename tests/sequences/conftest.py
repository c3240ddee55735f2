"""What tests of sequences share."""

from hypothesis import settings

# Timed assertions are no tests: a busy machine must not turn them red.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
