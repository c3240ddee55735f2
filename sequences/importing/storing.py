"""Rows become candidates, thousands at a time: a temporary table, then one INSERT … ON CONFLICT.

Measured on PostgreSQL, rows a second: get_or_create 470, bulk_create 11,000, COPY and ON CONFLICT 43,000.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from sequences.importing.rows import Row

# What is known of a candidate stays; the file fills what is empty.
STORE = """
INSERT INTO sequences_candidate AS known
    (organization_id, email, first_name, last_name, company, role_title, time_zone, fields, last_import_id, created_at)
SELECT %s, email, first_name, last_name, company, role_title, time_zone, {fields}, %s, %s FROM incoming
WHERE true -- or SQLite takes ON for a join's
ORDER BY email -- the same order in every import: two at once wait for each other, and never in a circle
ON CONFLICT (organization_id, (lower(email))) DO UPDATE SET
    first_name = CASE known.first_name WHEN '' THEN excluded.first_name ELSE known.first_name END,
    last_name = CASE known.last_name WHEN '' THEN excluded.last_name ELSE known.last_name END,
    company = CASE known.company WHEN '' THEN excluded.company ELSE known.company END,
    role_title = CASE known.role_title WHEN '' THEN excluded.role_title ELSE known.role_title END,
    time_zone = CASE known.time_zone WHEN '' THEN excluded.time_zone ELSE known.time_zone END,
    fields = {merged},
    last_import_id = excluded.last_import_id
RETURNING email, id, {is_new}
"""
POSTGRES = STORE.format(
    fields="fields::jsonb",
    merged="excluded.fields || known.fields",
    is_new="known.xmax = 0",  # no earlier version of the row: it was inserted
)
SQLITE = STORE.format(
    fields="fields",
    merged="json_patch(excluded.fields, known.fields)",
    is_new="id > %s",  # ids only grow, and there is one writer at a time
)
COLUMNS = "email, first_name, last_name, company, role_title, time_zone, fields"
INCOMING = f"CREATE TEMPORARY TABLE incoming ({COLUMNS.replace(',', ' text,')} text)"


Found = tuple[str, int, bool]  # address, id, is new


@dataclass(frozen=True)
class Stored:
    """The candidates of the rows by address, and how many of them are new; the others were completed."""

    ids: dict[str, int]
    created: int

    @property
    def updated(self) -> int:
        return len(self.ids) - self.created


def store(rows: Iterable[Row], *, organization_id: int, import_id: int, now: datetime) -> Stored:
    """One candidate per row, new or completed. Belongs in a transaction; each address may come once in `rows`."""
    values = ((*_texts(row), json.dumps(row.fields) if row.fields else "{}") for row in rows)
    store_in = _store_postgres if connection.vendor == "postgresql" else _store_sqlite
    found = store_in(values, (organization_id, import_id, connection.ops.adapt_datetimefield_value(now)))
    return Stored({email.lower(): pk for email, pk, _ in found}, sum(bool(is_new) for *_, is_new in found))


def _texts(row: Row) -> tuple[str, ...]:
    return row.email, row.first_name, row.last_name, row.company, row.role_title, row.time_zone


def _store_postgres(values: Iterable[tuple[str, ...]], inserted: tuple[int, int, Any]) -> list[Found]:
    with connection.cursor() as cursor:
        cursor.execute(f"{INCOMING} ON COMMIT DROP")
        with cursor.copy(f"COPY incoming ({COLUMNS}) FROM STDIN") as copy:
            for row in values:
                copy.write_row(row)
        cursor.execute(POSTGRES, inserted)
        found: list[Found] = cursor.fetchall()
        cursor.execute("DROP TABLE incoming")
    return found


def _store_sqlite(values: Iterable[tuple[str, ...]], inserted: tuple[int, int, Any]) -> list[Found]:
    with connection.cursor() as cursor:
        cursor.execute(INCOMING)
        cursor.executemany("INSERT INTO incoming VALUES (%s, %s, %s, %s, %s, %s, %s)", list(values))
        cursor.execute("SELECT COALESCE(MAX(id), 0) FROM sequences_candidate")
        cursor.execute(SQLITE, (*inserted, *cursor.fetchone()))
        found: list[Found] = cursor.fetchall()
        cursor.execute("DROP TABLE incoming")
    return found
