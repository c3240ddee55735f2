"""The WSGI application that gunicorn serves."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "metaview_outreach.settings")

# gunicorn's word for "the application cannot be loaded": with any other it would start its workers again for ever.
APP_LOAD_ERROR = 4

try:
    application = get_wsgi_application()
except ImproperlyConfigured as complaint:
    sys.stderr.write(f"Not started: {complaint}\n")
    sys.exit(APP_LOAD_ERROR)
