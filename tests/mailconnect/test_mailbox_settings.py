"""What Microsoft says of a mailbox."""

from datetime import UTC, datetime, time
from typing import Any

import pytest

from mailconnect.mailbox_settings import MailboxSettings, iana_zone, parse
from mailconnect.models import MailConnection

AUTOMATIC = MailConnection.AutomaticReplies


def replies(status: str, zone: str = "UTC") -> dict[str, Any]:
    return {
        "status": status,
        "scheduledStartDateTime": {"dateTime": "2026-03-14T07:00:00.0000000", "timeZone": zone},
        "scheduledEndDateTime": {"dateTime": "2026-03-28T07:00:00.0000000", "timeZone": zone},
    }


def hours(**changes: Any) -> dict[str, Any]:
    return {
        "daysOfWeek": ["monday", "tuesday", "thursday"],
        "startTime": "08:30:00.0000000",
        "endTime": "17:00:00.0000000",
        "timeZone": {"name": "Pacific Standard Time"},
    } | changes


def test_reads_working_hours_in_their_own_zone() -> None:
    parsed = parse({"timeZone": "W. Europe Standard Time", "workingHours": hours()})

    assert parsed == MailboxSettings(
        time_zone="America/Los_Angeles", working_days="124", working_from=time(8, 30), working_until=time(17)
    )


def test_falls_back_on_the_mailbox_zone_where_the_hours_have_a_customized_one() -> None:
    custom = {"@odata.type": "#microsoft.graph.customTimeZone", "name": "Customized Time Zone", "bias": -200}

    parsed = parse({"timeZone": "W. Europe Standard Time", "workingHours": hours(timeZone=custom)})

    assert parsed.time_zone == "Europe/Berlin"


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("Romance Standard Time", "Europe/Paris"),
        ("Asia/Tokyo", "Asia/Tokyo"),
        ("UTC", "UTC"),
        ("Europe", ""),
        ("../etc/passwd", ""),
        ("", ""),
        ("tzone://Microsoft/Custom", ""),
    ],
)
def test_knows_windows_and_iana_names_and_no_others(name: str, zone: str) -> None:
    found = iana_zone(name)

    assert found in (zone, {"UTC": "Etc/UTC"}.get(name))


@pytest.mark.parametrize("status", ["scheduled", "Scheduled"])
def test_reads_a_scheduled_absence_in_any_casing(status: str) -> None:
    parsed = parse({"automaticRepliesSetting": replies(status, "Eastern Standard Time")})

    assert parsed.automatic_replies == AUTOMATIC.SCHEDULED
    assert parsed.away_from == datetime(2026, 3, 14, 11, tzinfo=UTC)
    assert parsed.away_until == datetime(2026, 3, 28, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "expected"), [("disabled", AUTOMATIC.DISABLED), ("alwaysEnabled", AUTOMATIC.ALWAYS)]
)
def test_ignores_dates_that_are_not_scheduled(status: str, expected: str) -> None:
    parsed = parse({"automaticRepliesSetting": replies(status)})

    assert (parsed.automatic_replies, parsed.away_from, parsed.away_until) == (expected, None, None)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"workingHours": None, "automaticRepliesSetting": "off", "timeZone": 7},
        {"workingHours": hours(startTime="soon", timeZone=None, daysOfWeek="monday")},
        {"workingHours": hours(startTime="17:00:00", endTime="08:00:00", timeZone={}, daysOfWeek=[])},
        {"automaticRepliesSetting": {"status": "scheduled", "scheduledStartDateTime": {"dateTime": "x"}}},
    ],
)
def test_leaves_empty_what_it_does_not_understand(content: dict[str, Any]) -> None:
    assert parse(content) == MailboxSettings()
