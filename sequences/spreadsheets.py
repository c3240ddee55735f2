"""Our tables as CSV that is safe to open in a spreadsheet program."""

import csv
from collections.abc import Iterable, Iterator

# What a spreadsheet takes for the beginning of a formula (OWASP: CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r")
BOM = "\ufeff"  # else Excel reads UTF-8 as Windows-1252


class _Echo:
    def write(self, text: str) -> str:
        return text


def safe_cell(value: object) -> str:
    """As text, also where it looks like a formula."""
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def csv_lines(rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Line by line, so that a long table is never in memory as a whole."""
    writer = csv.writer(_Echo())
    yield BOM
    for row in rows:
        yield writer.writerow([safe_cell(value) for value in row])
