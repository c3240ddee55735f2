"""Many rows in one statement."""

import sqlite3

import pytest
from django.db import connection

from mailconnect import bulk

pytestmark = pytest.mark.django_db


def test_takes_more_values_than_every_sqlite_does() -> None:
    rows = [(number, f"{number} words") for number in range(20_000)]
    connection.ensure_connection()
    if connection.vendor == "sqlite":  # this one's limit may be higher
        limit = connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)
    try:
        assert bulk.run("id bigint, words text", rows, "SELECT id, words FROM v WHERE id <> %s", 1) == [
            rows[0],
            *rows[2:],
        ]
    finally:
        if connection.vendor == "sqlite":
            connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, limit)
