"""Find candidates among a million in milliseconds: by page, or by how an address or a name begins.

The migration `candidate_search` has the indexes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower
from django.db.models.lookups import GreaterThanOrEqual, LessThan, StartsWith

from sequences.models import Candidate
from sequences.reporting import Count

PER_PAGE = 50
COUNTED = 1_000  # what a search finds is counted up to here


@dataclass(frozen=True)
class Page:
    """Some candidates, and the ids with which the pages before and after this one are asked for."""

    candidates: list[Candidate]
    newer: int | None = None
    older: int | None = None
    found: Count | None = None  # of a search: how many there are, also those that are not shown

    @property
    def is_cut(self) -> bool:
        return self.found is not None and self.found.number > len(self.candidates)


def newest(candidates: QuerySet[Candidate], *, before: int | None = None, after: int | None = None) -> Page:
    """A page of candidates, the newest first, before or after one of them. Deep pages cost what the first one costs."""
    if after is not None and (edge := candidates.filter(pk=after).first()):
        newer = candidates.filter(
            Q(created_at__gt=edge.created_at) | Q(pk__gt=edge.pk), created_at__gte=edge.created_at
        )
        found = list(newer.order_by("created_at", "pk")[: PER_PAGE + 1])
        shown = found[:PER_PAGE][::-1]
        return Page(shown, newer=shown[0].pk if len(found) > PER_PAGE else None, older=shown[-1].pk if shown else None)
    edge = candidates.filter(pk=before).first() if before is not None else None
    if edge:
        candidates = candidates.filter(
            Q(created_at__lt=edge.created_at) | Q(pk__lt=edge.pk), created_at__lte=edge.created_at
        )
    found = list(candidates.order_by("-created_at", "-pk")[: PER_PAGE + 1])
    shown = found[:PER_PAGE]
    return Page(
        shown, newer=shown[0].pk if edge and shown else None, older=shown[-1].pk if len(found) > PER_PAGE else None
    )


def search(candidates: QuerySet[Candidate], text: str) -> Page:
    """Those whose address or names begin with `text`, by name; of very many the first that each index gives."""
    first: set[int] = set()
    found: set[int] = set()
    for condition in _conditions(text.lower().replace("\0", "").split()):
        ids = list(candidates.filter(condition).order_by().values_list("pk", flat=True)[: COUNTED + 1])
        first.update(ids[:PER_PAGE])
        found.update(ids)
    shown = candidates.filter(pk__in=first).order_by(Lower("last_name"), Lower("first_name"), "pk")
    return Page(list(shown[:PER_PAGE]), found=Count(len(found), COUNTED))


def _conditions(words: list[str]) -> Iterator[Q]:
    """One per index that may find something."""
    if not words:
        return
    whole, first, rest = " ".join(words), words[0], " ".join(words[1:])
    yield _begins("email", whole)
    if "@" not in whole:
        yield _begins("last_name", whole)
        yield _begins("first_name", whole)
    if rest:
        yield _begins("last_name", rest) & _begins("first_name", first)
        yield _begins("last_name", first) & _begins("first_name", rest)


def _begins(field: str, text: str) -> Q:
    """`field` begins with `text` (in lower case), in the words that each database's index answers."""
    if connection.vendor == "postgresql":
        return Q(StartsWith(Lower(field), text))
    return Q(GreaterThanOrEqual(Lower(field), text)) & Q(LessThan(Lower(field), text + "\U0010ffff"))
