"""Which field of a candidate does a column fill? Guessed by its header, English or German; a person may change it."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sequences.addresses import canonical
from sequences.rendering import is_token

EMAIL, FULL_NAME, TIME_ZONE = "email", "full_name", "time_zone"
FIELDS: Final = {
    EMAIL: "E-mail address",
    "first_name": "First name",
    "last_name": "Last name",
    FULL_NAME: "Full name (split in two)",
    "company": "Company",
    "role_title": "Role",
    TIME_ZONE: "Time zone",
}
LEFT_OUT = ""
OWN: Final = "token:"  # the column becomes a token of its own: "token:github"
TOKEN_MAX = 40
# What the emails' own tokens are called: a column may not take their place.
RESERVED: Final = {*FIELDS, "sender_first_name", "sender_name"}
HEADERS: Final = {
    EMAIL: "email mail emailaddress emailadresse mailadresse mailaddress emails primaryemail emailprimary "
    "workemail emailwork businessemail personalemail privateemail candidateemail contactemail email1 emailaddress1",
    "first_name": "firstname first givenname forename vorname rufname candidatefirstname",
    "last_name": "lastname last surname familyname nachname familienname zuname candidatelastname",
    FULL_NAME: "name fullname candidate candidatename displayname kandidat kandidatin vollername vollstandigername "
    "anzeigename vorundnachname namevollstandig",
    "company": "company companyname organization organisation employer currentcompany currentemployer firma "
    "firmenname unternehmen arbeitgeber aktuellerarbeitgeber aktuellesunternehmen",
    "role_title": "role title roletitle jobtitle position currenttitle currentposition currentrole headline rolle "
    "stelle funktion berufsbezeichnung positionsbezeichnung aktuelleposition jobbezeichnung",
    TIME_ZONE: "timezone tz zeitzone",
}
FIELD_OF: Final = {header: field for field, headers in HEADERS.items() for header in headers.split()}


@dataclass(frozen=True)
class Column:
    """A column of the file and what it fills: a key of `FIELDS`, a token of its own, or nothing."""

    header: str
    field: str = LEFT_OUT

    @property
    def token(self) -> str:
        """The name of the token that this column would fill as one of its own."""
        name = re.sub(r"[^a-z0-9]+", "_", _plain(self.header)).strip("_")[:TOKEN_MAX].strip("_")
        return name if name and not name[0].isdigit() and name not in RESERVED and is_token(name) else f"column_{name}"


def guess(headers: Sequence[str], sample: Iterable[Sequence[str]] = ()) -> list[Column]:
    """A field for each header, none twice. Where no header says so, the column with most addresses has them."""
    wished = [FIELD_OF.get(re.sub(r"[^a-z0-9]", "", _plain(header)), LEFT_OUT) for header in headers]
    if "first_name" in wished and "last_name" not in wished:
        # Beside a "Vorname", a "Name" is the family's.
        wished = ["last_name" if field == FULL_NAME else field for field in wished]
    elif "first_name" in wished:
        wished = [LEFT_OUT if field == FULL_NAME else field for field in wished]
    if EMAIL not in wished:
        wished = _with_addresses(wished, sample)
    return assign(headers, [field or OWN for field in wished])


def assign(headers: Sequence[str], fields: Sequence[str]) -> list[Column]:
    """Columns with these fields: each at most once, the first keeps it; `OWN` becomes a token named by the header."""
    taken: set[str] = set()
    columns = []
    for header, field in zip(headers, fields, strict=True):
        column = Column(header, _known(field, header))
        if column.field in taken:
            column = Column(header, _free_token(Column(header).token, taken) if field.startswith(OWN) else LEFT_OUT)
        taken.add(column.field)
        columns.append(column)
    return columns


def _known(field: str, header: str) -> str:
    if field.startswith(OWN):
        return OWN + Column(header).token
    return field if field in FIELDS else LEFT_OUT


def _free_token(name: str, taken: set[str]) -> str:
    number = 2
    while f"{OWN}{name}_{number}" in taken:
        number += 1
    return f"{OWN}{name}_{number}"


def _with_addresses(wished: list[str], sample: Iterable[Sequence[str]]) -> list[str]:
    counts = [0] * len(wished)
    for cells in sample:
        for number, cell in enumerate(cells[: len(wished)]):
            counts[number] += canonical(cell) is not None
    if not any(counts):
        return wished
    best = counts.index(max(counts))
    return [EMAIL if number == best else field for number, field in enumerate(wished)]


def _plain(text: str) -> str:
    """Lower case without accents: "Vollständiger" → "vollstandiger"."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
