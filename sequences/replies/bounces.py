"""Reports that an email could not be delivered: whose, for good or for now, or because of our own limits. Pure."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import Message as Mime
from enum import StrEnum

from flufl.bounce import all_failures

from mailconnect.inbox import Letter

# Exchange speaks of the sender's side: the tenant's limit for mail to outsiders (trial, paid), the mailbox's daily
# limit, a blocked sender, a throttled tenant (Microsoft's table of non-delivery codes). No word about the candidate.
OUR_LIMITS = {"5.7.232", "5.7.233", "5.1.90", "5.1.8", "5.7.705", "5.7.708"}
# The address exists, only its mailbox is full.
FULL = "5.2.2"
# It tells of each of its detectors, with tracebacks.
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_MESSAGE_ID = re.compile(r"<[^<>\s]+>")
_DAEMONS = re.compile(r"^(mailer-daemon|postmaster|mail-daemon|microsoftexchange[0-9a-f]{32})@", re.IGNORECASE)


class Outcome(StrEnum):
    FAILED = "failed"  # for good
    DELAYED = "delayed"  # the other side keeps trying, or the mailbox is full
    OUR_LIMIT = "our_limit"
    NONE = "none"  # a receipt, a success


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    outcome: Outcome
    status: str = ""  # for example 5.1.1
    recipients: tuple[str, ...] = ()  # in lower case
    message_ids: tuple[str, ...] = ()  # of the email that it is about, where it is quoted


def sign_of_report(letter: Letter) -> str:
    """What shows that this is a delivery report, as part of a sentence; empty for anything else."""
    kind = letter.item_class.upper()
    if kind.startswith("REPORT."):
        return f"its class is {letter.item_class}"
    content_type = letter.header("Content-Type").lower()
    if "multipart/report" in content_type and "disposition-notification" not in content_type:
        return "it is a delivery report (multipart/report)"
    if letter.header("X-Failed-Recipients"):
        return "it has the header X-Failed-Recipients"
    if _DAEMONS.match(letter.from_address):
        return f"it comes from {letter.from_address.partition('@')[0].lower()}"
    return ""


def read(letter: Letter) -> Report:
    """What the report says. Asks for the whole email, since only its inner parts tell."""
    mime = message_from_bytes(letter.read_mime(), policy=policy.compat32)
    delivery = list(_delivery_fields(mime))
    statuses = [status for field in delivery if (status := _status_of(field))]
    recipients = [address for field in delivery if (address := _address(str(field.get("Final-Recipient", ""))))]
    recipients += [_address(item) for item in letter.header("X-Failed-Recipients").split(",") if "@" in item]
    temporary, permanent = ([], []) if delivery else _read_in_prose(mime)
    recipients += [*permanent, *temporary]
    status = statuses[0] if statuses else _first_status(_visible_text(mime))
    return Report(
        outcome=_outcome(letter, delivery, status, failed=bool(permanent)),
        status=status,
        recipients=tuple(dict.fromkeys(recipients)),
        message_ids=tuple(dict.fromkeys(_quoted_ids(mime))),
    )


def _outcome(letter: Letter, delivery: list[Mime], status: str, *, failed: bool) -> Outcome:
    actions = {str(field.get("Action", "")).strip().lower() for field in delivery}
    kind = letter.item_class.upper()
    if status in OUR_LIMITS:
        return Outcome.OUR_LIMIT
    if "delayed" in actions or kind.endswith(".DELAYED") or status.startswith("4.") or status == FULL:
        return Outcome.DELAYED
    if "failed" in actions or kind.endswith(".NDR") or status.startswith("5.") or failed:
        return Outcome.FAILED
    return Outcome.NONE


def _delivery_fields(mime: Mime) -> Iterator[Mime]:
    """The blocks of message/delivery-status: the first about the report, the others one per recipient."""
    for part in mime.walk():
        if part.get_content_type() == "message/delivery-status" and isinstance(part.get_payload(), list):
            yield from (block for block in part.get_payload() if isinstance(block, Mime))


def _status_of(field: Mime) -> str:
    """Exchange writes the true code into Diagnostic-Code where Status is a general one, such as 5.0.0 or 5.7.1."""
    codes = _STATUS.findall(f"{field.get('Diagnostic-Code', '')} {field.get('Status', '')}")
    ours = [code for code in codes if code in OUR_LIMITS]
    general: list[str] = _STATUS.findall(str(field.get("Status", "")))
    return next(iter([*ours, *general, *codes]), "")


def _read_in_prose(mime: Mime) -> tuple[list[str], list[str]]:
    """Reports of older programs have no fields for machines. Returns who failed for now, and who for good."""
    try:
        temporary, permanent = all_failures(mime)
    except Exception:  # its detectors break on some malformed emails: then it knows nothing
        return [], []
    lower = [[address.decode("ascii", "replace").lower() for address in found] for found in (temporary, permanent)]
    return lower[0], lower[1]


def _visible_text(mime: Mime) -> str:
    """The report's own words, not those of the email that it returns."""
    parts = mime.get_payload() if mime.is_multipart() else [mime]
    own = (part for part in parts if isinstance(part, Mime) and not part.get_content_type().startswith("message/"))
    return " ".join(_decoded(text) for part in own for text in part.walk() if text.get_content_maintype() == "text")


def _decoded(part: Mime) -> str:
    content = part.get_payload(decode=True)
    return content.decode("utf-8", "replace") if isinstance(content, bytes) else ""


def _first_status(text: str) -> str:
    found = _STATUS.findall(text)
    return next((code for code in found if code in OUR_LIMITS), found[0] if found else "")


def _quoted_ids(mime: Mime) -> Iterator[str]:
    """Message-IDs of the email inside the report, whole or only its headers."""
    for part in mime.walk():
        if part is not mime and part.get("Message-ID"):
            yield from _MESSAGE_ID.findall(str(part["Message-ID"]))
        if part.get_content_type() == "text/rfc822-headers":
            yield from _MESSAGE_ID.findall(str(message_from_bytes(_decoded(part).encode()).get("Message-ID", "")))


def _address(value: str) -> str:
    """`rfc822; someone@example.com` → the address, in lower case."""
    return value.rpartition(";")[2].strip().strip("<>").lower()
