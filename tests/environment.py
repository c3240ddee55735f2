"""Loaded before Django's settings (`-p tests.environment`): this is a test run."""

import os

os.environ["MODE"] = "test"
