"""Who sends from mailboxes; how it stops: what depends on it pauses, and what was on its way is waited for.

`mailconnect` may not import upward, so those who depend on it register here (docs/decisions/0003-dependents.md).
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from accounts.models import User
from mailconnect.models import DelegationGrant, MailConnection

# A permit is good for this long: the Graph client refuses to start a request with an older one.
PERMIT_LIFE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Stop:
    """What stops, why, and by whom: what relies on `grant`, all that `person` initiates, or all from `connection`."""

    connection: MailConnection | None = None
    grant: DelegationGrant | None = None
    person: User | None = None
    reason: str  # a key of `sequences.reasons.PAUSED`
    actor: User | None = None


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a stop pauses (or would pause): sequences by id and name, and the emails that wait in them."""

    sequences: list[tuple[int, str]] = field(default_factory=list)
    waiting: int = 0


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What one colleague sends from a mailbox: running sequences by id and name, and how many emails left so far."""

    running: list[tuple[int, str]] = field(default_factory=list)
    sent: int = 0


class Dependents(Protocol):
    """Those who send from mailboxes."""

    def preview(self, stop: Stop, now: datetime) -> Effect:
        """What would pause, for the page that asks before."""

    def lock(self, stops: Collection[Stop], now: datetime) -> None:
        """Lock at once, in the order that everybody keeps, what `pause()` will pause for one after the other."""

    def pause(self, stop: Stop, now: datetime) -> Effect:
        """Pause what depends on it, with the reason; tell the owners once. Runs inside the stopping transaction."""

    def in_flight(self, stops: Collection[Stop]) -> int:
        """How many messages have a permit under any of these whose request has not settled."""

    def allow_again(self, connection: MailConnection, now: datetime) -> None:
        """A mailbox is connected or a grant is given again: tell the owners of paused sequences that can resume."""

    def activity(self, connection: MailConnection) -> dict[int, Activity]:
        """What the owner's colleagues send from the mailbox, by their ids."""

    def choices(self, organization_id: int, person_id: int | None) -> list[tuple[int, str]]:
        """The sequences that a permission may be limited to, newest first: one person's, or all with their owners."""

    def names(self, sequence_ids: Collection[int], organization_id: int) -> dict[int, str]:
        """The names of these sequences, where they are the organization's."""


_dependents: list[Dependents] = []


def register(dependents: Dependents) -> None:
    if not any(type(known) is type(dependents) for known in _dependents):
        _dependents.append(dependents)


def preview(stop: Stop, now: datetime) -> Effect:
    return _merged([each.preview(stop, now) for each in _dependents])


def lock_dependents(*stops: Stop, now: datetime) -> None:
    """For a transaction with several stops, after it has locked its mailboxes and grants and before it pauses."""
    for each in _dependents:
        each.lock(stops, now)


def pause_dependents(stop: Stop, now: datetime) -> Effect:
    """Call it in the transaction that stops new permits, after the row is changed."""
    return _merged([each.pause(stop, now) for each in _dependents])


def allow_again(connection: MailConnection, now: datetime) -> None:
    for each in _dependents:
        each.allow_again(connection, now)


def activity(connection: MailConnection) -> dict[int, Activity]:
    merged: dict[int, Activity] = {}
    for each in _dependents:
        merged |= each.activity(connection)
    return merged


def sequence_choices(organization_id: int, person_id: int | None) -> list[tuple[int, str]]:
    return [choice for each in _dependents for choice in each.choices(organization_id, person_id)]


def sequence_names(sequence_ids: Collection[int], organization_id: int) -> dict[int, str]:
    merged: dict[int, str] = {}
    for each in _dependents:
        merged |= each.names(sequence_ids, organization_id)
    return merged


def drain(
    *stops: Stop,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Wait until what had been permitted has settled or its permits have lapsed: at most the life of a permit.

    Call it after the stopping transaction has committed, never inside one. Returns how many were already on their
    way when it was called. When it returns, no request to send will be started under what was stopped: every permit
    is older than the commit, and this waits for a permit's life after it, by this machine's own clock alone.
    """
    lapsed_at = monotonic() + PERMIT_LIFE_SECONDS
    already = open_now = _in_flight(stops)
    while open_now and monotonic() < lapsed_at:
        sleep(0.05)
        open_now = _in_flight(stops)
    return already


def _in_flight(stops: Collection[Stop]) -> int:
    return sum(each.in_flight(stops) for each in _dependents)


def _merged(effects: list[Effect]) -> Effect:
    return Effect(
        sequences=[item for effect in effects for item in effect.sequences],
        waiting=sum(effect.waiting for effect in effects),
    )
