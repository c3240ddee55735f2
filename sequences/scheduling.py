"""When is the next email due, and why then? Pure: no database, no clock, no settings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

# A window that opens on no day within a year opens never.
SEARCH_DAYS = 366
STOPWATCH = {"minutes": timedelta(minutes=1), "hours": timedelta(hours=1)}


class NeverOpen(ValueError):
    """The window has no opening within a year, for example because each of its days is a holiday."""

    reason = "window_never_open"

    def __init__(self) -> None:
        super().__init__("The sending window does not open within a year. Choose more days.")


class Why(StrEnum):
    """What decided the moment; several may have, one after the other."""

    DELAY = "delay"
    AT_TIME = "at_time"
    WINDOW = "window"  # on an open day, but too early or too late
    WEEKEND = "weekend"  # a day of the week that is not chosen
    HOLIDAY = "holiday"


@dataclass(frozen=True)
class Due:
    moment: datetime
    why: tuple[Why, ...]


def no_holidays(day: date) -> bool:
    return False


@dataclass(frozen=True)
class Window:
    """The hours in which mail may leave: from `start` until just before `end`, on ISO weekdays (Monday is 1).

    A window over midnight is refused: "until 2 at night" has no answer to which day a holiday closes.
    """

    days: frozenset[int]
    start: time
    end: time
    zone: ZoneInfo
    holidays: Callable[[date], bool] = no_holidays

    def __post_init__(self) -> None:
        if not self.days or not self.days <= frozenset(range(1, 8)):
            raise ValueError("Choose at least one day of the week.")
        if self.end <= self.start:
            raise ValueError("The window must end after it starts, on the same day.")

    def is_open(self, now: datetime) -> bool:
        return self.next_open(now) == now

    def next_open(self, moment: datetime) -> datetime:
        """`moment` itself if the window is open then, else the start of the next opening."""
        return self.first_open(moment).moment

    def first_open(self, moment: datetime, at_time: time | None = None) -> Due:
        """As `next_open`, with what stood in the way. On later days not before `at_time`, if the window holds it."""
        _require_zone(moment)
        start = at_time if at_time and self.start <= at_time < self.end else self.start
        why: list[Why] = []
        for day in _days_from(moment.astimezone(self.zone).date()):
            obstacle = self.obstacle(day)
            opens = max(moment, instant(day, start, self.zone))
            if obstacle is None and opens < instant(day, self.end, self.zone):
                why += [Why.WINDOW] if opens > moment and not why else []
                return Due(opens, tuple(why))
            why += [obstacle or Why.WINDOW]
        raise NeverOpen

    def obstacle(self, day: date) -> Why | None:
        """Why no mail leaves on this day."""
        if day.isoweekday() not in self.days:
            return Why.WEEKEND
        return Why.HOLIDAY if self.holidays(day) else None

    def business_days_after(self, day: date, count: int) -> date:
        for _ in range(count):
            day = self._next_business_day(day)
        return day

    def _next_business_day(self, day: date) -> date:
        for later in _days_from(day + timedelta(days=1)):
            if self.obstacle(later) is None:
                return later
        raise NeverOpen


def next_due(*, previous: datetime, delay: int, unit: str, at_time: time | None, window: Window) -> datetime:
    """When the next email is due; UTC. See `explain` for the rules and the reasons."""
    return explain(previous=previous, delay=delay, unit=unit, at_time=at_time, window=window).moment


def explain(*, previous: datetime, delay: int, unit: str, at_time: time | None, window: Window) -> Due:
    """The first moment inside the window that is `delay` after `previous`, and why it is that one.

    `unit`: "minutes" and "hours" run on a stopwatch; "days" and "business_days" keep the clock's time in the window's
    zone, or wait for `at_time` on that day. Raises `NeverOpen`.
    """
    _require_zone(previous)
    if delay < 0:
        raise ValueError("A delay cannot be negative.")
    if unit in STOPWATCH:
        at_time = None
        earliest = previous.astimezone(UTC) + delay * STOPWATCH[unit]
    else:
        earliest = _days_later(previous, delay, unit, at_time, window)
    opening = window.first_open(earliest, at_time)
    first = Why.AT_TIME if at_time else Why.DELAY
    return Due(opening.moment, tuple(dict.fromkeys((first, *opening.why))))


def _days_later(previous: datetime, delay: int, unit: str, at_time: time | None, window: Window) -> datetime:
    local = previous.astimezone(window.zone)
    if unit == "days":
        day = local.date() + timedelta(days=delay)
    elif unit == "business_days":
        day = window.business_days_after(local.date(), delay)
    else:
        raise ValueError(f"Unknown unit of delay: {unit!r}.")
    earliest = instant(day, at_time or local.time(), window.zone)
    if at_time and earliest < previous:  # today's hour has passed
        earliest = instant(day + timedelta(days=1), at_time, window.zone)
    return max(earliest, previous.astimezone(UTC))


def instant(day: date, clock: time, zone: ZoneInfo) -> datetime:
    """The UTC moment when a clock in `zone` shows this. If it shows it twice: the first; if it skips it: just after."""
    first = datetime.combine(day, clock.replace(fold=0), zone)
    second = first.replace(fold=1)
    if first.utcoffset() == second.utcoffset() or first.astimezone(UTC) < second.astimezone(UTC):
        return first.astimezone(UTC)
    return _end_of_gap(second.astimezone(UTC), first.astimezone(UTC), zone)


def _end_of_gap(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The transition between two moments, to the second. zoneinfo knows the offsets but does not tell the moment."""
    old_offset = before.astimezone(zone).utcoffset()
    low, high = int(before.timestamp()), int(after.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == old_offset:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def _days_from(day: date) -> Iterator[date]:
    return (day + timedelta(days=ahead) for ahead in range(SEARCH_DAYS))


def _require_zone(moment: datetime) -> None:
    if moment.tzinfo is None:
        raise ValueError("A moment needs its time zone.")
