#!/usr/bin/env python
"""Django's command line."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "metaview_outreach.settings")
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        bool(settings.DEBUG)  # the first look reads them all
    except ImproperlyConfigured as complaint:
        sys.exit(f"Not started: {complaint}")
    execute_from_command_line(sys.argv)
