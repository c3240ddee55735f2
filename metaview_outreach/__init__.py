"""The Django project: settings, addresses, the way in."""
