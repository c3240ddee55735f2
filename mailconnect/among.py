"""Rows with one of thousands of ids, as one parameter: so long an IN list costs more to read than to answer."""

import json
from collections.abc import Iterable
from typing import Any

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, F, Func
from django.db.models.sql.compiler import SQLCompiler


def among(values: Iterable[Any]) -> tuple[str, Any]:
    """The part of a condition that follows the column's name, and its parameter."""
    if connection.vendor == "postgresql":
        return "= ANY(%s)", list(values)
    return "IN (SELECT value FROM json_each(%s))", json.dumps(list(values))


class Among(Func):
    """A condition for `filter`: `Among("pk", ids)`."""

    output_field = BooleanField()

    def __init__(self, field: str, values: Iterable[Any]) -> None:
        super().__init__(F(field))
        self.values = tuple(values)

    def as_sql(  # type: ignore[override]
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, tuple[Any, ...]]:
        column, params = compiler.compile(self.source_expressions[0])
        condition, values = among(self.values)
        return f"{column} {condition}", (*params, values)
