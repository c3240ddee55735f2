"""How fast mail may leave: distances, limits and rests. Pure: no clock, no database."""

import random
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from mailconnect.models import MailConnection
from mailconnect.outbox import Kind
from sequences.windows import zone_named

# While held for one of these, the mailbox is left alone altogether; otherwise only nothing new leaves.
SILENT = frozenset({"throttled", "mailbox_unwell", "microsoft_unavailable", "operator"})
UNWELL_AFTER = 5  # failures in a row
FIRST_REST = 10.0
LONGEST_REST = 15 * 60.0
OPERATOR_REST = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Microsoft's limits, and ours. Exchange takes 30 emails a minute from a mailbox, Graph four calls at once."""

    per_minute: int | None = 30  # none: as the mailbox's spacing says, which may be no spacing at all
    at_once: int = 3  # requests per mailbox
    burst: int = 4  # emails per lease, where the mailbox keeps no distance
    jitter: float = 0.25  # a distance is up to so much longer
    settle_seconds: float = 20.0  # when an accepted email is first looked for in Sent Items
    cool_down: timedelta = timedelta(minutes=15)  # before an ambiguous email is decided about
    chance: random.Random = field(default_factory=random.Random)

    def spacing(self, connection: MailConnection) -> timedelta:
        """The distance to the next email, this time."""
        least = 60 / self.per_minute if self.per_minute else 0.0
        seconds = max(least, float(connection.spacing_seconds))
        return timedelta(seconds=seconds * (1 + self.jitter * self.chance.random()))

    def room(self, connection: MailConnection, now: datetime) -> int:
        """How many emails may leave under one lease."""
        left = connection.daily_limit - connection.sent_today(now.astimezone(zone_of(connection)).date())
        spaced = self.per_minute is not None or connection.spacing_seconds > 0
        return max(0, min(left, 1 if spaced else self.burst))

    def rest(self, failures: int, asked_seconds: float = 0.0) -> timedelta:
        """After so many failures in a row: longer each time, and never shorter than Microsoft asks for."""
        doubled = min(LONGEST_REST, FIRST_REST * 2.0 ** min(failures - 1, 10))
        return timedelta(seconds=max(asked_seconds, doubled) * (1 + self.jitter * self.chance.random()))


def zone_of(connection: MailConnection) -> ZoneInfo:
    """Where the mailbox's day begins and ends. Wants `organization` loaded."""
    zone = zone_named(connection.time_zone) or zone_named(connection.organization.time_zone)
    return zone or ZoneInfo("UTC")


def next_day(connection: MailConnection, now: datetime) -> datetime:
    zone = zone_of(connection)
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time.min, zone)


class Breaker:
    """Stops asking Microsoft when several mailboxes in a row fail: then it is not the mailboxes.

    One per process: pumps share it. While it is open one mailbox at a time is tried.
    """

    MAILBOXES = 5

    def __init__(self) -> None:
        self._failing: set[int] = set()
        self._open_until = 0.0
        self._trips = 0

    def told(self, connection_id: int, kind: Kind, *, delay: float, now: float) -> None:
        """What came of a call; `now` is monotonic. `delay`: the seconds that Microsoft asked for."""
        if kind in (Kind.DONE, Kind.REFUSED):
            self._failing.clear()
            self._trips = 0
            self._open_until = 0.0
        elif kind in (Kind.THROTTLED, Kind.UNREACHABLE, Kind.UNAVAILABLE, Kind.UNKNOWN):
            self._failing.add(connection_id)
            if len(self._failing) >= self.MAILBOXES and now >= self._open_until:
                self._trips += 1
                self._open_until = now + max(delay, min(60.0, 5.0 * 2.0 ** (self._trips - 1)))

    def allows(self, wanted: int, *, now: float) -> int:
        """How many mailboxes may be begun with now."""
        if len(self._failing) < self.MAILBOXES:
            return wanted
        return 0 if now < self._open_until else min(wanted, 1)
