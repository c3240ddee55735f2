"""What an import would do, for the page that asks before it does."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from django.db.models.functions import Lower

from mailconnect.among import Among
from sequences.importing.columns import EMAIL, FIELDS, LEFT_OUT, OWN, Column
from sequences.importing.reading import SAMPLE_ROWS, Table, open_table
from sequences.importing.rows import REFUSED, Refusal, Row, read
from sequences.importing.running import columns_of
from sequences.importing.zones import zone_of
from sequences.models import Candidate, CandidateImport

SHOWN_ROWS = 5
SHOWN_REFUSALS = 10
EXAMPLES = 2
LOOKED_UP_AT_ONCE = 5_000


@dataclass(frozen=True)
class ColumnChoice:
    """A column, what it holds, and what it could fill."""

    header: str
    chosen: str
    examples: list[str]
    choices: list[tuple[str, str]]


@dataclass(kw_only=True)
class Preview:
    columns: list[ColumnChoice]
    has_addresses: bool
    rows: list[Row] = field(default_factory=list)  # the first ones
    tokens: list[str] = field(default_factory=list)  # of their further columns
    accepted: int = 0
    duplicates: int = 0  # of the accepted: an address that came before
    known: int = 0  # of the accepted: in the organization already
    unknown_zones: int = 0
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)  # the first ones

    @property
    def candidates(self) -> int:
        return self.accepted - self.duplicates


def preview(upload: CandidateImport) -> Preview:
    """Reads the whole file with the columns as they are chosen; a second for 100,000 rows. Wants `content`."""
    table = open_table(bytes(upload.content or b""))
    columns = columns_of(upload)
    seen = Preview(
        columns=list(_choices(table, columns)),
        has_addresses=any(column.field == EMAIL for column in columns),
        tokens=[column.field.removeprefix(OWN) for column in columns if column.field.startswith(OWN)],
    )
    if seen.has_addresses:
        _look_through(seen, read(table, columns, zone_of), upload.organization_id)
    return seen


def all_refusals(upload: CandidateImport) -> Iterator[Refusal]:
    """Each refused row: from the file while it is there, else the first thousand that were kept."""
    if upload.content:
        table = open_table(bytes(upload.content))
        yield from (row for row in read(table, columns_of(upload), zone_of) if isinstance(row, Refusal))
    else:
        yield from (Refusal(line, reason, value) for line, reason, value in upload.refusals if reason in REFUSED)


def _look_through(seen: Preview, rows: Iterator[Row | Refusal], organization_id: int) -> None:
    addresses: set[str] = set()
    for row in rows:
        if isinstance(row, Refusal):
            seen.refused += 1
            if len(seen.refusals) < SHOWN_REFUSALS:
                seen.refusals.append(row)
            continue
        seen.accepted += 1
        seen.unknown_zones += row.unknown_zone
        if len(seen.rows) < SHOWN_ROWS and row.email not in addresses:
            seen.rows.append(row)
        addresses.add(row.email)
    seen.duplicates = seen.accepted - len(addresses)
    seen.known = _known(sorted(addresses), organization_id)


def _known(addresses: list[str], organization_id: int) -> int:
    known = Candidate.objects.filter(organization=organization_id).annotate(address=Lower("email"))
    return sum(
        known.filter(Among("address", addresses[start : start + LOOKED_UP_AT_ONCE])).count()
        for start in range(0, len(addresses), LOOKED_UP_AT_ONCE)
    )


def _choices(table: Table, columns: list[Column]) -> Iterator[ColumnChoice]:
    sample = [cells for _, cells in islice(table.rows(), SAMPLE_ROWS)]
    for number, column in enumerate(columns):
        values = (cells[number].strip() for cells in sample if number < len(cells))
        examples = list(dict.fromkeys(" ".join(value.split())[:60] for value in values if value))[:EXAMPLES]
        token = column.field.removeprefix(OWN) if column.field.startswith(OWN) else column.token
        choices = [(LEFT_OUT, "Leave out"), *FIELDS.items(), (OWN + token, f"Token {{{{ {token} }}}}")]
        yield ColumnChoice(column.header, column.field, examples, choices)
