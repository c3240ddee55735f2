"""Kill real workers wherever they are, and count: `python -m crashtest` prints point × kills × duplicates × lost."""
