"""Settings from the environment: each start that would be wrong is refused, in one line that says what to do."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from metaview_outreach import settings
from tests.check_deploy import ENVIRONMENT

ROOT = Path(__file__).resolve().parent.parent
LONG = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _start(changed: dict[str, str | None], *command: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], **ENVIRONMENT} | changed
    return subprocess.run(
        [sys.executable, *(command or ("manage.py", "check"))],
        cwd=ROOT,
        env={name: value for name, value in environment.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"DEBUG": "true"}, "DEBUG is on"),
        ({"SECRET_KEY": None}, "SECRET_KEY is missing"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY is weak"),
        ({"SECRET_KEY": "ab" * 40}, "SECRET_KEY is weak"),
        ({"FERNET_KEYS": None}, "FERNET_KEYS is missing"),
        ({"FERNET_KEYS": f"{LONG},short"}, "FERNET_KEYS holds a weak key"),
        ({"RECEIPT_KEYS": None}, "RECEIPT_KEYS is missing"),
        ({"RECEIPT_KEYS": "2026:short"}, "RECEIPT_KEYS holds a weak key"),
        ({"RECEIPT_KEYS": LONG}, "RECEIPT_KEYS must be a comma-separated list of id:key"),
        ({"RECEIPT_KEYS": f"a:{LONG},a:{LONG}x"}, "RECEIPT_KEYS names an id twice"),
        ({"SANDBOX_URL": "http://127.0.0.1:8400"}, "SANDBOX_URL is set"),
        ({"SITE_URL": None}, "SITE_URL is missing"),
        ({"SITE_URL": "http://outreach.example.com"}, "SITE_URL must begin with https://"),
        ({"SITE_URL": "outreach.example.com"}, "SITE_URL must be an address"),
        ({"SITE_URL": "https://outreach.example.com/app"}, "SITE_URL must be an address"),
        ({"MICROSOFT_CLIENT_ID": None}, "MICROSOFT_CLIENT_ID is missing"),
        ({"MICROSOFT_CLIENT_SECRET": None}, "MICROSOFT_CLIENT_SECRET or MICROSOFT_CERTIFICATE is missing"),
        ({"MICROSOFT_CERTIFICATE": "/no/such.pem"}, "MICROSOFT_CERTIFICATE names a file that cannot be read"),
        ({"MICROSOFT_SECRET_EXPIRES": "31.1.2027"}, "MICROSOFT_SECRET_EXPIRES must be a date"),
        ({"MICROSOFT_CLOUD": "mars"}, "MICROSOFT_CLOUD must be one of"),
        ({"MODE": "staging"}, "MODE must be one of"),
        ({"DEBUG": "maybe"}, "DEBUG must be true or false"),
        ({"EMAIL_PORT": "0"}, "EMAIL_PORT must be a whole number"),
        ({"WORKER_TASKS_AT_ONCE": "two"}, "WORKER_TASKS_AT_ONCE must be a whole number"),
        ({"DATABASE_URL": "mysql://root:geheim@127.0.0.1/x"}, "DATABASE_URL must begin with"),
        ({"DATABASE_URL": "geheim"}, "DATABASE_URL must begin with"),
    ],
)
def test_stop_the_start_with_one_line(changed: dict[str, str | None], complaint: str) -> None:
    ended = _start(changed)

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Not started: {complaint}")
    assert len(ended.stderr.splitlines()) == 1
    assert not [value for value in changed.values() if value and value in ended.stderr and "geheim" in value]


def test_stop_gunicorn_for_good() -> None:
    ended = _start({"SECRET_KEY": "short"}, "-m", "gunicorn", "metaview_outreach.wsgi", "--bind", "127.0.0.1:0")

    assert ended.returncode == 4
    assert "Not started: SECRET_KEY is weak" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("changed", [{}, {"DATABASE_URL": "postgres://outreach:x@127.0.0.1/outreach"}])
def test_pass_every_check_of_a_deployment(changed: dict[str, str | None]) -> None:
    ended = _start(changed, "manage.py", "check", "--deploy", "--fail-level", "WARNING")

    assert ended.returncode == 0, ended.stderr


def test_are_all_explained_in_the_example() -> None:
    source = Path(str(settings.__file__)).read_text(encoding="utf-8")
    read = set(re.findall(r"env\.[a-z]+\(\"([A-Z_]+)\"", source))
    explained = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))

    assert read == explained


def test_take_the_environment_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# comment\nSECRET_KEY='from the file'\nDEBUG = true\n", encoding="utf-8")

    ended = _start({"ENV_FILE": str(tmp_path / "env"), "SECRET_KEY": LONG})

    assert "Not started: DEBUG is on" in ended.stderr
