"""The receipts of messages: shown, exported, and verified against the rows, the grants and the bodies of today."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q, QuerySet

from accounts.models import User
from mailconnect import receipts
from mailconnect.models import DelegationGrant, MailConnection
from mailconnect.permission import grant_digest, mailbox_name
from sequences.models import Message
from sequences.spreadsheets import csv_lines

# One after another, so that a million receipts need no more memory than a few hundred.
AT_ONCE = 500

PROBLEMS: dict[str, str] = {
    "body": "the subject or the body is not the one that was permitted",
    "grant": "the permission is not the one that it was sent under, or its terms were changed",
    "key": "the key that signed it is not in RECEIPT_KEYS",
    "signature": "the row does not fit its signature: person, mailbox, recipient, time or permission was changed",
    "missing": "it left, but has no receipt",
}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A message's receipt, for its page."""

    message: Message
    grant: DelegationGrant | None
    problems: list[str]


def statement_of(message: Message) -> receipts.Statement:
    """What the receipt of the row, as it stands today, must state. Wants `connection` loaded, and a permit stamped."""
    assert message.permitted_at is not None
    assert message.permitted_to_id is not None
    return receipts.Statement(
        message=str(message.key),
        mailbox=mailbox_name(message.connection),
        person=message.permitted_to_id,
        sequence=message.sequence_id,
        to_address=message.to_address,
        grant=message.grant_id,
        grant_version=message.grant_version,
        grant_digest=message.grant_digest,
        permitted_at=message.permitted_at,
        body_hash=message.body_hash,
    )


def problems_of(message: Message) -> list[str]:
    """What does not fit: keys of PROBLEMS. Wants `connection`, `grant` and `enrollment.candidate` loaded."""
    if not message.receipt or message.permitted_at is None or message.permitted_to_id is None:
        return ["missing"]
    found = []
    # Of an erased candidate the text is gone; the signature over its hash stays.
    is_erased = message.enrollment.candidate.erased_at is not None
    if not is_erased and receipts.body_hash(message.subject, message.body_html) != message.body_hash:
        found.append("body")
    if not _grant_fits(message):
        found.append("grant")
    if not receipts.is_known(message.receipt_key):
        found.append("key")
    elif not receipts.verifies(statement_of(message), message.receipt_key, message.receipt):
        found.append("signature")
    return found


def shown(message: Message) -> Shown | None:
    """The receipt for the message's page; none while it has not left."""
    if not message.receipt:
        return None
    return Shown(message=message, grant=message.grant, problems=[PROBLEMS[key] for key in problems_of(message)])


def verify_all() -> Iterator[tuple[int, list[str]]]:
    """The ids of the messages whose receipt does not verify, with the problems. Streams the whole table."""
    left = Message.objects.filter(~Q(receipt="") | Q(state__in=Message.LEFT))
    for message in (
        left.select_related("connection", "grant", "enrollment__candidate").order_by("pk").iterator(chunk_size=AT_ONCE)
    ):
        if problems := problems_of(message):
            yield message.pk, problems


def visible_to(user: User) -> QuerySet[Message]:
    """The messages with a receipt that `user` may export: from the own mailboxes and by the person; an admin: all."""
    inside = Message.objects.filter(sequence__organization=user.organization_id).exclude(receipt="")
    if user.is_admin:
        return inside
    return inside.filter(Q(connection__owner=user) | Q(permitted_to=user))


def chosen(
    messages: QuerySet[Message],
    *,
    mailbox: MailConnection | None = None,
    person: User | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Message]:
    """Of a mailbox, of a person, of a time; oldest first."""
    if mailbox:
        messages = messages.filter(connection=mailbox)
    if person:
        messages = messages.filter(permitted_to=person)
    if since:
        messages = messages.filter(permitted_at__gte=since)
    if until:
        messages = messages.filter(permitted_at__lt=until)
    related = messages.select_related("connection", "permitted_to", "sequence")
    return related.order_by("permitted_at", "pk")


def as_csv(messages: QuerySet[Message]) -> Iterator[str]:
    return csv_lines(_table(messages))


def as_json(messages: QuerySet[Message]) -> Iterator[str]:
    """One array, written as it is read."""
    separator = "[\n"
    for row in _exported(messages):
        yield separator + json.dumps(row)
        separator = ",\n"
    yield "\n]\n" if separator != "[\n" else "[]\n"


def _table(messages: QuerySet[Message]) -> Iterator[Iterable[Any]]:
    """The exported rows, below their names."""
    names: list[str] = []
    for row in _exported(messages):
        if not names:
            names = list(row)
            yield names
        yield ["" if value is None else value for value in row.values()]
    if not names:
        yield ["message"]


def _exported(messages: QuerySet[Message]) -> Iterable[dict[str, Any]]:
    """The statement that was signed, what signed it, and words for people."""
    for message in messages.iterator(chunk_size=AT_ONCE):
        stated = asdict(statement_of(message))
        stated["permitted_at"] = stated["permitted_at"].astimezone(UTC).isoformat(timespec="microseconds")
        yield {
            **stated,
            "key": message.receipt_key,
            "signature": message.receipt,
            "state": message.state,
            "sent_from": message.connection.address,
            "initiated_by": str(message.permitted_to.email) if message.permitted_to else "",
            "allowed_by": f"permission {message.grant_id}, version {message.grant_version}"
            if message.grant_id
            else "owner of the mailbox",
            "sequence_name": message.sequence.name,
        }


def _grant_fits(message: Message) -> bool:
    """As owner: none. Otherwise a grant of this mailbox, for this person, with the terms of then."""
    grant = message.grant
    if grant is None:
        return not message.grant_digest
    return (
        grant.connection_id == message.connection_id
        and grant.grantee_id in (None, message.permitted_to_id)
        and grant.version == message.grant_version
        and grant_digest(grant) == message.grant_digest
    )
