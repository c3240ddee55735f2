"""Strict reading of the environment: a value is right, or the start stops with one line that says what to do."""

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off"}


def load(path: Path) -> None:
    """Read `NAME=value` lines of a file into the environment. What the environment already has wins."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            os.environ.setdefault(name.strip(), value.strip().strip("\"'"))


def text(name: str, default: str | None = None) -> str:
    value = os.environ.get(name, "").strip()
    if value:
        return value
    if default is None:
        raise ImproperlyConfigured(f"{name} is missing. Set it in the environment; .env.example shows how.")
    return default


def flag(name: str, *, default: bool) -> bool:
    value = os.environ.get(name, "").strip().lower()
    if not value:
        return default
    if value in TRUE | FALSE:
        return value in TRUE
    raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")


def number(name: str, default: int, *, least: int = 0) -> int:
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    if not value.isascii() or not value.isdigit() or int(value) < least:
        raise ImproperlyConfigured(f"{name} must be a whole number of at least {least}, not {value!r}.")
    return int(value)


def choice(name: str, default: str, allowed: Sequence[str]) -> str:
    value = text(name, default)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
    return value


def items(name: str, default: Sequence[str] = ()) -> list[str]:
    """A comma-separated list without its empty items."""
    return [item.strip() for item in os.environ.get(name, "").split(",") if item.strip()] or list(default)


def keyed(name: str, default: Sequence[str] = ()) -> dict[str, str]:
    """A comma-separated list of `id:key`, in its order."""
    pairs = [item.partition(":") for item in items(name, default)]
    if not all(identifier and key for identifier, _, key in pairs):
        raise ImproperlyConfigured(f"{name} must be a comma-separated list of id:key.")
    if len({identifier for identifier, _, _ in pairs}) < len(pairs):
        raise ImproperlyConfigured(f"{name} names an id twice.")
    return {identifier: key for identifier, _, key in pairs}


def address(name: str, default: str | None = None) -> str:
    """A web address without a path and without the slash at its end; empty only by default."""
    value = text(name, default).rstrip("/")
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query):
        raise ImproperlyConfigured(f"{name} must be an address such as https://outreach.example.com, not {value!r}.")
    return value


def day(name: str) -> str:
    """A date as YYYY-MM-DD, or empty."""
    value = text(name, "")
    try:
        return value and date.fromisoformat(value).isoformat()
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a date such as 2027-01-31, not {value!r}.") from None


def file(name: str) -> str:
    """The path of a file that can be read, or empty."""
    value = text(name, "")
    if value and not os.access(value, os.R_OK):
        raise ImproperlyConfigured(f"{name} names a file that cannot be read: {value}")
    return value


def database(name: str, default: str) -> Any:
    """Django's settings of the database behind an address such as postgres://user:password@host/name."""
    try:
        parsed = dj_database_url.parse(text(name, default), conn_max_age=60, conn_health_checks=True)
    except ValueError:
        # Not the value: it may hold a password.
        parsed = {"ENGINE": ""}
    if not parsed["ENGINE"].endswith((".sqlite3", ".postgresql")):
        raise ImproperlyConfigured(f"{name} must begin with postgres:// or sqlite:///.")
    return parsed
