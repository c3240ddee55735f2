"""Which window holds for an email: the sequence's, else the mailbox's, else the organization's, else the usual week."""

from collections.abc import Callable, Iterable
from datetime import date, time
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

import holidays

from accounts.models import Organization
from mailconnect.models import MailConnection
from sequences.models import Sequence
from sequences.scheduling import Window, no_holidays

USUAL_DAYS = "12345"
USUAL_HOURS = (time(9), time(17))
DAY_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def window_for(
    *, sequence: Sequence, connection: MailConnection | None, organization: Organization, candidate_zone: str = ""
) -> Window:
    """Cheap enough to ask for each of 10,000 emails: equal settings share one window."""
    zones = [sequence.time_zone, connection.time_zone if connection else "", organization.time_zone]
    if sequence.in_candidate_time:
        zones.insert(0, candidate_zone)
    days, hours = _working_hours(connection)
    if sequence.window_from and sequence.window_until:
        hours = (sequence.window_from, sequence.window_until)
    return _window(sequence.window_days or days, *hours, tuple(zones), organization.holiday_country)


def _working_hours(connection: MailConnection | None) -> tuple[str, tuple[time, time]]:
    """As Microsoft has them. A night shift is no time to write to candidates: then the usual hours hold."""
    if connection is None or not connection.working_from or not connection.working_until:
        return USUAL_DAYS, USUAL_HOURS
    hours = (connection.working_from, connection.working_until)
    return connection.working_days or USUAL_DAYS, hours if hours[0] < hours[1] else USUAL_HOURS


@lru_cache(maxsize=4096)
def _window(days: str, start: time, end: time, zones: tuple[str, ...], country: str) -> Window:
    zone = next((zone for name in zones if (zone := zone_named(name))), ZoneInfo("UTC"))
    return Window(frozenset(map(int, days)), start, end, zone, holidays_of(country))


@lru_cache(maxsize=1024)
def zone_named(name: str) -> ZoneInfo | None:
    """None for a name that no time zone has: it came from a file, or from Microsoft."""
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):  # OSError: a folder of the zone database, such as "Europe"
        return None


@lru_cache(maxsize=256)
def holidays_of(country: str) -> Callable[[date], bool]:
    if not country or country.upper() not in holidays.list_supported_countries(include_aliases=False):
        return no_holidays

    def is_holiday(day: date) -> bool:
        return day in _holidays_in(country.upper(), day.year)

    return is_holiday


@lru_cache(maxsize=1024)
def _holidays_in(country: str, year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays(country, years=year))


def describe(window: Window) -> str:
    """As a sentence's part: "Mon–Fri, 09:00–17:00, Europe/Berlin"."""
    hours = f"{window.start:%H:%M}–{window.end:%H:%M}"
    return f"{describe_days(window.days)}, {hours}, {window.zone.key}"


def describe_days(days: Iterable[int]) -> str:
    """Days that follow each other are told as a span."""
    chosen = sorted(days)
    spans: list[list[int]] = []
    for day in chosen:
        if spans and day == spans[-1][-1] + 1:
            spans[-1].append(day)
        else:
            spans.append([day])
    return ", ".join(_span(span) for span in spans)


def _span(days: list[int]) -> str:
    names = [DAY_NAMES[day - 1] for day in days]
    return f"{names[0]}–{names[-1]}" if len(names) > 2 else ", ".join(names)


@lru_cache(maxsize=1)
def zone_names() -> tuple[str, ...]:
    """The time zones that a person may choose: places, not their aliases of old."""
    old = ("Etc/", "US/", "SystemV/", "posix/", "right/", "Brazil/", "Canada/", "Chile/", "Mexico/")
    return ("UTC", *sorted(name for name in available_timezones() if "/" in name and not name.startswith(old)))
