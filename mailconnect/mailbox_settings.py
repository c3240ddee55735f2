"""What Microsoft says of a mailbox: time zone, working hours, automatic replies (reference C2)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from tzlocal.windows_tz import win_tz

from mailconnect import reading
from mailconnect.microsoft.graph import GraphClient
from mailconnect.models import MailConnection

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_STATUS = {
    "alwaysenabled": MailConnection.AutomaticReplies.ALWAYS,
    "scheduled": MailConnection.AutomaticReplies.SCHEDULED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class MailboxSettings:
    """Named as the fields of `MailConnection` that keep it. Empty where Microsoft says nothing that we understand."""

    time_zone: str = ""
    working_days: str = ""
    working_from: time | None = None
    working_until: time | None = None
    automatic_replies: MailConnection.AutomaticReplies = MailConnection.AutomaticReplies.DISABLED
    away_from: datetime | None = None
    away_until: datetime | None = None


def read(connection_id: int) -> MailboxSettings:
    """Ask Graph. Raises what `tokens.access_token()` and the Graph client raise; not in a transaction."""
    return parse(reading.ask(connection_id, GraphClient.mailbox_settings))


def store(connection_id: int, settings: MailboxSettings, now: datetime) -> None:
    MailConnection.objects.filter(pk=connection_id).update(**asdict(settings), settings_read_at=now)


def parse(content: Mapping[str, Any]) -> MailboxSettings:
    hours = _mapping(content, "workingHours")
    # The hours are meant in their own zone; a customized one has no name, then the mailbox's must do.
    zone = iana_zone(str(_mapping(hours, "timeZone").get("name"))) or iana_zone(str(content.get("timeZone")))
    opens, closes = _clock(hours.get("startTime")), _clock(hours.get("endTime"))
    if not (opens and closes and opens < closes):
        opens = closes = None
    return MailboxSettings(
        time_zone=zone,
        working_days=_weekdays(hours.get("daysOfWeek")),
        working_from=opens,
        working_until=closes,
        **_absence(_mapping(content, "automaticRepliesSetting")),
    )


def iana_zone(name: str) -> str:
    """The IANA name of a zone that Microsoft calls by its Windows or IANA name; empty for an unknown one."""
    name = win_tz.get(name, name)
    try:
        return ZoneInfo(name).key
    except (KeyError, OSError, ValueError):  # unknown; a folder's name; not a relative path
        return ""


def _absence(replies: Mapping[str, Any]) -> dict[str, Any]:
    """Dates are filled in even when nothing is scheduled, so they count only then."""
    status = _STATUS.get(str(replies.get("status")).lower(), MailConnection.AutomaticReplies.DISABLED)
    if status != MailConnection.AutomaticReplies.SCHEDULED:
        return {"automatic_replies": status}
    starts = _moment(_mapping(replies, "scheduledStartDateTime"))
    ends = _moment(_mapping(replies, "scheduledEndDateTime"))
    if not (starts and ends):
        return {}
    return {"automatic_replies": status, "away_from": starts, "away_until": ends}


def _weekdays(days: object) -> str:
    names = {str(day).lower() for day in days} if isinstance(days, list) else set()
    return "".join(str(number) for number, name in enumerate(_DAYS, start=1) if name in names)


def _clock(value: object) -> time | None:
    try:
        return time.fromisoformat(str(value))
    except ValueError:
        return None


def _moment(value: Mapping[str, Any]) -> datetime | None:
    """A dateTimeTimeZone: seven fractional digits, no offset, and the zone's name beside it."""
    zone = iana_zone(str(value.get("timeZone")))
    try:
        return datetime.fromisoformat(str(value.get("dateTime"))).replace(tzinfo=ZoneInfo(zone)) if zone else None
    except ValueError:
        return None


def _mapping(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = content.get(name)
    return value if isinstance(value, dict) else {}
