"""Loaded before Django's settings (`-p tests.environment`): this is a test run."""

import os

os.environ["MODE"] = "test"
os.environ["ENV_FILE"] = os.devnull  # a developer's own .env is not the tests'
