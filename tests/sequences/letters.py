"""Emails as other mail systems write them, and as Graph shows them to `mailconnect.inbox`."""

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path

from mailconnect.inbox import Letter

MAILS = Path(__file__).parent / "mails"
RECEIVED_AT = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)  # a Tuesday


def letter(
    *,
    text: str = "",
    subject: str = "Re: A role for you",
    item_class: str = "IPM.Note",
    mime: bytes = b"",
    **headers: str,
) -> Letter:
    """An email with these headers, named with underscores."""
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Letter(
        internet_message_id="<incoming@candidate.example>",
        conversation_id="",
        from_address=headers.get("From", "cleo@candidate.example").lower(),
        subject=subject,
        received_at=RECEIVED_AT,
        item_class=item_class,
        headers=named,
        answers=(),
        read_text=lambda: text,
        read_mime=lambda: mime,
    )


def from_file(name: str, item_class: str = "IPM.Note") -> Letter:
    """One of the emails in `mails/`."""
    content = (MAILS / name).read_bytes()
    mail = message_from_bytes(content, policy=policy.default)
    body = mail.get_body(("plain",))
    headers = {key.replace("-", "_"): str(value) for key, value in mail.items() if key not in ("Subject", "From")}
    address = re.findall(r"[^<>\s]+@[^<>\s]+", str(mail["From"]))[-1]
    return letter(
        text=body.get_content() if body else "",
        subject=str(mail["Subject"]),
        item_class=item_class,
        mime=content,
        From=address,
        **headers,
    )
