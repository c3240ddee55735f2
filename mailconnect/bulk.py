"""Many rows in one statement, with the same SQL on PostgreSQL and SQLite.

The rows come as the table expression `v`: as arrays on PostgreSQL (typed, and one plan for any number), as VALUES on
SQLite. To PostgreSQL and back they go in binary form: writing and reading them as text costs five times as much.
"""

# ruff: noqa: S608 - SQL is made of constants; values are parameters

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any

import psycopg
from django.db import connection as database
from django.db.backends.utils import CursorWrapper
from django.utils.dateparse import parse_datetime

from mailconnect.among import among

Row = tuple[Any, ...]
SQLITE_TAKES = 32_766  # values in a statement; some builds take more


def run(columns: str, rows: Sequence[Row], statement: str, *parameters: Any) -> list[Row]:
    """Run `statement`, which reads the rows from `v`, and return what it returns.

    `columns`: names with PostgreSQL's types, as in "id bigint, state text".
    """
    if not rows:
        return []
    names, kinds = _columns(columns)
    most = (SQLITE_TAKES - len(parameters)) // len(kinds)
    if database.vendor == "sqlite" and len(rows) > most:
        parts = (rows[start : start + most] for start in range(0, len(rows), most))
        return [row for part in parts for row in run(columns, part, statement, *parameters)]
    if database.vendor == "postgresql":
        arrays = ", ".join(f"%b::{kind}[]" for kind in kinds)
        source, bound = f"SELECT * FROM unnest({arrays})", [list(column) for column in zip(*rows, strict=True)]
    else:
        one = f"({', '.join(['%s'] * len(kinds))})"
        # The limit tells the planner how few they are: it takes them for a million, and would first go through every
        # row of a table to be quicker at finding these.
        values = f"VALUES {', '.join([one] * len(rows))}"
        source, bound = f"SELECT * FROM ({values}) LIMIT {len(rows)}", _flat(kinds, rows)
    return fetch(f"WITH v({', '.join(names)}) AS ({source}) {statement}", [*bound, *map(plain, parameters)])


def fetch(statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
    with _cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def _cursor() -> CursorWrapper:
    cursor = database.cursor()
    if database.vendor != "postgresql":
        return cursor
    with cursor:
        # Django's own writes the parameters into the statement, as text, and reads text.
        wrap = database.make_debug_cursor if database.queries_logged else database.make_cursor
        driver = psycopg.Cursor(database.connection)
        driver.format = psycopg.pq.Format.BINARY
        return wrap(driver)  # type: ignore[arg-type]


def in_list(ids: Iterable[int]) -> tuple[str, list[Any]]:
    """As `among`, for whole numbers in a statement that `fetch` runs: in binary form."""
    if database.vendor == "postgresql":
        return "= ANY(%b::bigint[])", [list(ids)]
    condition, values = among(ids)
    return condition, [values]


def plain(value: Any) -> Any:
    """A value as the database's driver takes it in raw SQL."""
    if isinstance(value, datetime) and database.vendor != "postgresql":
        return database.ops.adapt_datetimefield_value(value)
    return value


def moment(value: Any) -> datetime | None:
    """A time as raw SQL returns it: aware on PostgreSQL; text, or naive UTC, on SQLite."""
    found = parse_datetime(value) if isinstance(value, str) else value
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found


@lru_cache(maxsize=64)
def _columns(columns: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names, kinds = zip(*(column.split() for column in columns.split(",")), strict=True)
    return names, kinds


@lru_cache(maxsize=1024)
def _adapted_moment(value: datetime) -> Any:
    """(Most rows of a statement say the same time.)"""
    return database.ops.adapt_datetimefield_value(value)


def _flat(kinds: Sequence[str], rows: Sequence[Row]) -> list[Any]:
    """All values of all rows in order, as SQLite's driver takes them; a column at a time, since most need nothing."""
    adapters: dict[str, Callable[[Any], Any]] = {
        "timestamptz": _adapted_moment,
        "uuid": attrgetter("hex"),
        "date": str,
    }
    columns: list[Iterable[Any]] = list(zip(*rows, strict=True))
    for index, kind in enumerate(kinds):
        if adapt := adapters.get(kind):
            columns[index] = [None if value is None else adapt(value) for value in columns[index]]
    return list(chain.from_iterable(zip(*columns, strict=True)))
