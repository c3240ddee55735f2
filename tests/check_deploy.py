"""Django's own checks of a production installation, with settings as production has them. Any warning fails."""

import os
import secrets
import subprocess
import sys

ENVIRONMENT = {
    "MODE": "production",
    "ENV_FILE": os.devnull,
    "SITE_URL": "https://outreach.example.com",
    "SECRET_KEY": secrets.token_urlsafe(64),
    "FERNET_KEYS": secrets.token_urlsafe(48),
    "RECEIPT_KEYS": f"2026:{secrets.token_urlsafe(48)}",
    "MICROSOFT_CLIENT_ID": "7f1c2a52-5b1c-4a6e-9d0f-3f2b8e6c1d11",
    "MICROSOFT_CLIENT_SECRET": secrets.token_urlsafe(32),
    "OPERATOR_EMAILS": "operator@example.com",
}

if __name__ == "__main__":
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    sys.exit(subprocess.run(command, env=os.environ | ENVIRONMENT, check=False).returncode)
