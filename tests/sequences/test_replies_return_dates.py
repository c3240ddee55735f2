"""The day of return, as people write it."""

from datetime import date

import pytest

from sequences.replies.return_dates import back_after

TODAY = date(2026, 11, 24)  # a Tuesday


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("I will be back on 3 December.", date(2026, 12, 3)),
        ("Back on the 3rd of December 2026, thanks", date(2026, 12, 3)),
        ("returning December 3rd", date(2026, 12, 3)),
        ("I return on Dec. 3, 2026 at 9:00", date(2026, 12, 3)),
        ("out until Thursday, 3 Dec", date(2026, 12, 3)),
        ("until 2026-12-03", date(2026, 12, 3)),
        ("until 12/28/2026", date(2026, 12, 28)),
        ("until 28/12/26", date(2026, 12, 28)),
        ("Ich bin bis zum 3. Dezember abwesend.", date(2026, 12, 3)),
        ("Vom 20.11. bis 03.12.2026 bin ich im Urlaub.", date(2026, 12, 3)),
        ("ab 3.12. wieder da", date(2026, 12, 3)),
        ("bis 3. 12. 26 nicht da", date(2026, 12, 3)),
        ("zurück am 7. Jänner – nein, am 7. Januar", date(2027, 1, 7)),
        ("bis einschließlich 1. März, zurück am 11. Januar", date(2027, 1, 11)),  # March is no absence
        ("back on Monday", date(2026, 11, 30)),
        ("I will return to the office next Tuesday", date(2026, 12, 1)),
        ("Ab Donnerstag bin ich wieder da; bis Donnerstag!", date(2026, 11, 26)),
        ("wieder erreichbar ab Mittwoch", date(2026, 11, 25)),
    ],
)
def test_reads_the_last_day_ahead(text: str, day: date) -> None:
    assert back_after(text, TODAY) == day


@pytest.mark.parametrize(
    "text",
    [
        "I am out of the office.",
        "I was away until 20 November 2026.",
        "Back on 24 November 2026.",
        "Parental leave until 1 June 2027",
        "Since 31 November nothing works",
        "Call +49 30 12.34.56 or 10.0.0.12",
        "We are open Monday to Friday.",
        "at 9:30 or 17.30",
    ],
)
def test_reads_no_day_that_is_past_or_far_or_none(text: str) -> None:
    assert back_after(text, TODAY) is None
