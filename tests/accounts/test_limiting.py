"""Attempts are counted for the whole of their span."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.core.cache import cache
from django.core.cache.backends import base, db

from accounts.limiting import is_too_many

pytestmark = pytest.mark.django_db


def test_are_not_forgotten_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the database's cache, which keeps what it counts for 300 seconds if nobody says otherwise."""
    counted = []
    for minutes in (0, 0, 0, 50, 70):
        later = datetime.now(UTC) + timedelta(minutes=minutes)
        monkeypatch.setattr(db, "tz_now", lambda later=later: later)
        monkeypatch.setattr(base, "time", SimpleNamespace(time=later.timestamp))
        counted.append(is_too_many("trying", most=3, within_seconds=3600, now=later))
    cache.clear()

    assert counted == [False, False, False, True, False]
