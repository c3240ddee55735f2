"""From a row of cells to a candidate, or to the reason why it is refused. Pure, and called for each of 100,000 rows."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sequences.addresses import canonical
from sequences.importing.columns import EMAIL, FULL_NAME, LEFT_OUT, OWN, TIME_ZONE, Column
from sequences.importing.reading import Table

LONGEST: Final = {"first_name": 100, "last_name": 100, "company": 150, "role_title": 150}
TOKEN_VALUE_MAX = 1000
SHOWN_MAX = 80  # of a refused value
REFUSED: Final = {
    "no_address": "There is no e-mail address.",
    "bad_address": "This is not an e-mail address.",
    "too_many_cells": "The row has more cells than there are columns.",
    "not_text": "The row has characters that no text has; the file may be damaged.",
    "too_long": f"A value is too long: names may have {LONGEST['first_name']} characters, company and role "
    f"{LONGEST['company']}, other columns {TOKEN_VALUE_MAX:,}.",
}
TITLES = re.compile(r"^(?:(?:dr|prof|mr|mrs|ms|mx|herr|frau|ing|dipl)\b\.?(?:-ing\.?)?\s+)+", re.IGNORECASE)
UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")


@dataclass(frozen=True, slots=True)
class Row:
    """A candidate as the file has it."""

    line: int
    email: str
    first_name: str = ""
    last_name: str = ""
    company: str = ""
    role_title: str = ""
    time_zone: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    unknown_zone: bool = False

    def completed_by(self, other: "Row") -> "Row":
        """This row, with what only `other` knows."""
        names = ("first_name", "last_name", "company", "role_title", "time_zone")
        missing = {name: getattr(other, name) for name in names if not getattr(self, name)}
        return replace(self, **missing, fields=other.fields | self.fields)


@dataclass(frozen=True, slots=True)
class Refusal:
    line: int
    reason: str  # a key of `REFUSED`
    value: str

    @property
    def sentence(self) -> str:
        return REFUSED[self.reason]


class RowRefused(ValueError):
    def __init__(self, reason: str, value: str) -> None:
        super().__init__(REFUSED[reason])
        self.reason = reason
        self.value = value


def read(table: Table, columns: Sequence[Column], zone_of: Callable[[str], str]) -> Iterator[Row | Refusal]:
    """Every row of the file, in its order. `zone_of`: the IANA name that a text means, or an empty one."""
    reader = _Reader(columns, zone_of)
    for line, cells in table.rows():
        try:
            yield reader.row(line, cells)
        except RowRefused as refused:
            yield Refusal(line, refused.reason, _shown(refused.value))


class _Reader:
    """Knows by number which cell fills what, so that a row costs microseconds."""

    def __init__(self, columns: Sequence[Column], zone_of: Callable[[str], str]) -> None:
        self.width = len(columns)
        self.zone_of = zone_of
        self.email = next((number for number, column in enumerate(columns) if column.field == EMAIL), None)
        self.named: list[tuple[int, str]] = []
        self.tokens: list[tuple[int, str]] = []
        for number, column in enumerate(columns):
            if column.field.startswith(OWN):
                self.tokens.append((number, column.field.removeprefix(OWN)))
            elif column.field not in (LEFT_OUT, EMAIL):
                self.named.append((number, column.field))

    def row(self, line: int, cells: list[str]) -> Row:
        if len(cells) != self.width:
            cells = self._of_width(cells)
        email = self._address(cells)
        values = {name: text for number, name in self.named if (text := _one_line(cells[number]))}
        if FULL_NAME in values:
            first, last = split_name(values.pop(FULL_NAME))
            values = {"first_name": first, "last_name": last} | values
        zone = values.pop(TIME_ZONE, "")
        fields = {name: text for number, name in self.tokens if (text := _one_line(cells[number]))}
        _check(values, fields)
        found = self.zone_of(zone) if zone else ""
        return Row(line, email, **values, time_zone=found, fields=fields, unknown_zone=bool(zone and not found))

    def _of_width(self, cells: list[str]) -> list[str]:
        for cell in cells[self.width :]:
            if cell.strip():
                raise RowRefused("too_many_cells", cell)
        return cells[: self.width] + [""] * (self.width - len(cells))

    def _address(self, cells: list[str]) -> str:
        text = cells[self.email].strip() if self.email is not None else ""
        if not text:
            raise RowRefused("no_address", " ".join(cells).strip())
        address = canonical(text)
        if address is None:
            raise RowRefused("bad_address", text)
        return address


def split_name(name: str) -> tuple[str, str]:
    """First and last: "Chen, Carol" and "Dr. Carol van der Chen" too."""
    before, comma, after = name.partition(",")
    if comma and after.strip():
        return TITLES.sub("", after.strip()), before.strip()
    first, _, last = TITLES.sub("", before.strip()).partition(" ")
    return first, last.strip()


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _check(values: dict[str, str], fields: dict[str, str]) -> None:
    for name, text in values.items():
        if len(text) > LONGEST[name]:
            raise RowRefused("too_long", text)
    for text in fields.values():
        if len(text) > TOKEN_VALUE_MAX:
            raise RowRefused("too_long", text)
    for text in (*values.values(), *fields.values()):
        if not text.isprintable() and UNPRINTABLE.search(text):
            raise RowRefused("not_text", text)


def _shown(value: str) -> str:
    value = UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", _one_line(value))
    return value if len(value) <= SHOWN_MAX else value[: SHOWN_MAX - 1] + "…"
