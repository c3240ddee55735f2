"""Does our clock agree with Microsoft's? Tokens, permits and sending windows rely on it."""

from datetime import datetime
from email.utils import parsedate_to_datetime

from django.conf import settings

from mailconnect.microsoft.errors import MicrosoftError
from mailconnect.microsoft.graph import graph_root
from mailconnect.microsoft.wire import Wire
from mailconnect.registration import Finding

# Microsoft refuses tokens of a clock that is five minutes off; a minute is a sign that nothing keeps it right.
MOST_SECONDS = 60


def finding(now: datetime) -> Finding:
    """Compares with the Date of an answer of Graph's. Talks to Microsoft."""
    wire = Wire(graph_root())
    try:
        answer = wire.exchange("GET", "/", {})
    except MicrosoftError:
        return Finding(False, f"{settings.SANDBOX_URL or 'Graph'} cannot be reached. Is the network open to it?")
    finally:
        wire.close()
    return compare(now, answer.headers.get("Date"))


def compare(now: datetime, their_date: str | None) -> Finding:
    """`their_date` as HTTP writes it."""
    try:
        theirs = parsedate_to_datetime(their_date or "")
    except ValueError:
        return Finding(True, "The clock could not be compared with Microsoft's: the answer has no date.")
    off = round((now - theirs).total_seconds())
    if abs(off) > MOST_SECONDS:
        way = "ahead of" if off > 0 else "behind"
        return Finding(False, f"The clock is {abs(off)} seconds {way} Microsoft's: let NTP set it.")
    return Finding(True, "The clock agrees with Microsoft's.")
