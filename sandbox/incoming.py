"""Mail from outside: a person's answer, an automatic reply, a bounce, a delay report, the wish to be left alone."""

import html
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, formataddr
from typing import Any

from sandbox.mailbox import Mailbox, Message, new_internet_message_id
from sandbox.shapes import normal_html, text_of

_WHY = {
    "5.1.1": "The email address wasn't found at the destination domain. It might be misspelled or no longer exist.",
    "5.2.2": "The recipient's mailbox is full and can't accept messages now.",
    "5.7.1": "The message was rejected by the recipient's email system.",
    "5.7.233": "Your message can't be sent because your tenant exceeded its daily limit for external recipients.",
    "4.4.7": "The message couldn't be delivered yet. Delivery will be tried again.",
}


@dataclass(frozen=True, kw_only=True)
class Coming:
    """An answer to `original`, a message that was sent from here, by its first recipient unless told otherwise."""

    original: Message
    address: str = ""
    name: str = ""
    text: str = ""
    folder: str = "inbox"
    status: str = "5.1.1"  # of a bounce
    has_thread_headers: bool = True
    keeps_conversation: bool = False

    @property
    def author(self) -> dict[str, str]:
        known = self.original.to[0] if self.original.to else {"name": "", "address": "somebody@candidate.example"}
        address = self.address or known["address"]
        name = self.name or (known["name"] if address == known["address"] else "") or address
        return {"name": name, "address": address}


def conversation_of(mailbox: Mailbox, message: Message) -> str:
    """The conversation that a mail belongs to in this mailbox; empty for a new one."""
    wanted = {message.in_reply_to, *message.references} - {""}
    if not wanted:
        return ""
    found = (known for known in mailbox.messages.values() if known.internet_message_id in wanted)
    return next((known.conversation_id for known in found), "")


def human_reply(mailbox: Mailbox, coming: Coming, now: float) -> Message:
    return _reply(mailbox, coming, now, coming.text or "Thank you for writing. I would like to hear more.")


def unsubscribe(mailbox: Mailbox, coming: Coming, now: float) -> Message:
    return _reply(mailbox, coming, now, coming.text or "Please unsubscribe me and do not write to me again.")


def auto_reply(mailbox: Mailbox, coming: Coming, now: float) -> Message:
    """An out-of-office note from another mail system: an ordinary class, and RFC 3834's header."""
    headers = [
        {"name": "Auto-Submitted", "value": "auto-replied"},
        {"name": "X-Auto-Response-Suppress", "value": "All"},
        {"name": "X-Autoreply", "value": "yes"},
    ]
    text = coming.text or "I am out of the office and will read your message when I am back."
    subject = f"Automatic reply: {coming.original.subject}"
    return _reply(mailbox, coming, now, text, subject=subject, headers=headers)


def internal_auto_reply(mailbox: Mailbox, coming: Coming, now: float, *, hidden: bool = False) -> Message:
    """An out-of-office note of the same tenant, which Exchange marks by its class."""
    headers = [
        {"name": "Auto-Submitted", "value": "auto-generated"},
        {"name": "X-MS-Exchange-Inbox-Rules-Loop", "value": coming.author["address"]},
    ]
    return _reply(
        mailbox,
        coming,
        now,
        coming.text or "I am out of the office.",
        subject=f"Automatic reply: {coming.original.subject}",
        headers=headers,
        message_class="IPM.Note.Rules.OofTemplate.Microsoft",
        hidden_from_delta=hidden,
    )


def bounce(mailbox: Mailbox, coming: Coming, now: float) -> Message:
    return _report(mailbox, coming, now, subject="Undeliverable", action="failed", kind="NDR")


def delayed(mailbox: Mailbox, coming: Coming, now: float) -> Message:
    status = "4.4.7" if coming.status.startswith("5") else coming.status
    late = Coming(**{**vars(coming), "status": status})
    return _report(mailbox, late, now, subject="Delivery delayed", action="delayed", kind="Delayed")


KINDS: dict[str, Callable[[Mailbox, Coming, float], Message]] = {
    "human": human_reply,
    "auto_reply": auto_reply,
    "internal_auto_reply": internal_auto_reply,
    "bounce": bounce,
    "delayed": delayed,
    "unsubscribe": unsubscribe,
}


def _reply(
    mailbox: Mailbox,
    coming: Coming,
    now: float,
    text: str,
    *,
    subject: str = "",
    **content: Any,
) -> Message:
    original = coming.original
    new_part = f"<div>{html.escape(text).replace(chr(10), '<br>')}</div>"
    quote = f"<blockquote>{_quoted(original)}</blockquote>"
    threaded = coming.has_thread_headers
    return mailbox.add(
        now,
        folder=coming.folder,
        subject=subject or _reply_subject(original.subject),
        body=normal_html(new_part + quote),
        unique_body=normal_html(new_part),
        sender=coming.author,
        to=[original.sender],
        is_read=False,
        in_reply_to=original.internet_message_id if threaded else "",
        references=[*original.references, original.internet_message_id] if threaded else [],
        conversation_id=original.conversation_id if coming.keeps_conversation else "",
        internet_message_id=f"<{int(now * 1e6)}.{mailbox.change}@candidate.example>",
        **content,
    )


def _report(mailbox: Mailbox, coming: Coming, now: float, *, subject: str, action: str, kind: str) -> Message:
    original = coming.original
    identity = new_internet_message_id()
    recipient = coming.author["address"]
    why = _WHY.get(coming.status, "The message was not delivered.")
    headers = [
        {"name": "Content-Type", "value": 'multipart/report; report-type=delivery-status; boundary="report"'},
        {"name": "Return-Path", "value": "<>"},
        {"name": "Auto-Submitted", "value": "auto-replied"},
        {"name": "X-Failed-Recipients", "value": recipient},
    ]
    text = f"Your message to {recipient} couldn't be delivered. {why} Status code: {coming.status}"
    return mailbox.add(
        now,
        folder=coming.folder,
        subject=f"{subject}: {original.subject}",
        body=normal_html(f"<p>{html.escape(text)}</p>"),
        sender={"name": "Microsoft Outlook", "address": f"postmaster@{original.sender['address'].rpartition('@')[2]}"},
        to=[original.sender],
        is_read=False,
        internet_message_id=identity,
        in_reply_to=original.internet_message_id if coming.has_thread_headers else "",
        references=[original.internet_message_id] if coming.has_thread_headers else [],
        headers=headers,
        message_class=f"REPORT.IPM.Note.{kind}",
        mime=_report_mime(coming, identity, text, action, now),
    )


def _report_mime(coming: Coming, identity: str, text: str, action: str, now: float) -> str:
    """RFC 3464: words, the status for machines, and the headers of what was not delivered."""
    recipient = coming.author["address"]
    diagnostic = f"smtp;550 {coming.status} {_WHY.get(coming.status, 'Not delivered')}"
    parts = [
        ("text/plain; charset=utf-8", text),
        (
            "message/delivery-status",
            f"Reporting-MTA: dns;mx.candidate.example\r\n\r\nFinal-Recipient: rfc822;{recipient}\r\n"
            f"Action: {action}\r\nStatus: {coming.status}\r\nDiagnostic-Code: {diagnostic}\r\n",
        ),
        ("message/rfc822", _head(coming.original).as_string()),
    ]
    lines = [
        f"From: Microsoft Outlook <postmaster@{coming.original.sender['address'].rpartition('@')[2]}>",
        f"To: {coming.original.sender['address']}",
        f"Date: {format_datetime(datetime.fromtimestamp(now, UTC))}",
        f"Message-ID: {identity}",
        "Subject: Undeliverable",
        "MIME-Version: 1.0",
        'Content-Type: multipart/report; report-type=delivery-status; boundary="report"',
        "",
    ]
    for kind, content in parts:
        lines += ["--report", f"Content-Type: {kind}", "", content]
    return "\r\n".join([*lines, "--report--", ""])


def mime_of(message: Message) -> str:
    """A message as it travels."""
    if message.mime:
        return message.mime
    mail = _head(message)
    mail.set_content(text_of(message.body) if message.body_type == "html" else message.body)
    if message.body_type == "html":
        mail.add_alternative(message.body, subtype="html")
    return mail.as_string()


def _head(message: Message) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = formataddr((message.sender.get("name", ""), message.sender.get("address", "")))
    mail["To"] = ", ".join(formataddr((to["name"], to["address"])) for to in message.to)
    mail["Subject"] = " ".join(message.subject.split())
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.sent_at, UTC))
    mail["Message-ID"] = message.internet_message_id
    if message.in_reply_to:
        mail["In-Reply-To"] = message.in_reply_to
        mail["References"] = " ".join(message.references)
    for entry in message.headers:
        if entry["name"].lower().startswith("x-"):
            mail[entry["name"]] = entry["value"]
    return mail


def _reply_subject(subject: str) -> str:
    return subject if subject.lower().startswith("re:") else f"Re: {subject}"


def _quoted(original: Message) -> str:
    return html.escape(text_of(original.body)).replace("\n", "<br>")
