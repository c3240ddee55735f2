"""django-post-office as a peer: queued mails to an SMTP sink on loopback, in a program and a folder of its own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "django-post-office==3.12.0"
PROGRAM = Path(__file__).parent / "smtp_peer_program.py"


class NotInstalled(Exception):
    """The package could not be had."""


def per_second(database: str, *, emails: int) -> float:
    """Emails a second. Raises `NotInstalled`."""
    with tempfile.TemporaryDirectory(prefix="post-office-") as folder:
        _install(folder)
        url = _beside(database, folder)
        environment = os.environ | {"PYTHONPATH": folder}
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        done = subprocess.run(
            [sys.executable, str(PROGRAM), url, str(emails)], env=environment, capture_output=True, text=True,
            timeout=240, check=False,
        )  # fmt: skip
    found = [line for line in done.stdout.splitlines() if line.startswith("result ")]
    rate = float(json.loads(found[-1].removeprefix("result "))) if found else 0.0
    if not rate:
        raise NotInstalled(f"it did not run ({done.stderr.strip().splitlines()[-1:]})")
    return rate


def _install(folder: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", folder]
    done = subprocess.run([*command, PACKAGE], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise NotInstalled("it could not be installed here")


def _beside(database: str, folder: str) -> str:
    """Its own tables: in the same PostgreSQL database (no table of ours has its names), or a file of its own."""
    return database if database.startswith("postgres") else f"sqlite:///{Path(folder) / 'post_office.sqlite3'}"
