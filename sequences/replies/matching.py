"""Which of our emails does an email that came in answer?"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import QuerySet
from django.db.models.functions import Lower

from mailconnect.inbox import Letter
from mailconnect.models import MailConnection
from sequences.models import Candidate, Message
from sequences.replies.bounces import Report
from sequences.replies.freemail import company_domain

# So long after our last email to somebody, an email without any reference to it is still taken for an answer.
ANSWERED_WITHIN = timedelta(days=60)
# A report that names no email of ours, only a recipient, is about one that we sent just before.
REPORTED_WITHIN = timedelta(days=5)
_MOST_IDS = 30


@dataclass(frozen=True, slots=True)
class Match:
    """Our email that is answered. `by_id`: its Message-ID was named, which nobody knows who did not get it."""

    message: Message
    by_id: bool


def match(letter: Letter, connection: MailConnection) -> Match | None:
    """By Message-ID; else by conversation, from the recipient or a colleague; else by the recipient's address alone."""
    if found := _named(letter.answers, connection):
        return Match(found, by_id=True)
    found = _in_conversation(letter, connection) or _lately_written_to([letter.from_address], letter, connection)
    return Match(found, by_id=False) if found else None


def match_report(letter: Letter, report: Report, connection: MailConnection) -> Match | None:
    """By a Message-ID, the report's own reference or the returned email's; else by the address that failed."""
    if found := _named((*report.message_ids, *letter.answers), connection):
        return Match(found, by_id=True)
    found = _lately_written_to(report.recipients, letter, connection, within=REPORTED_WITHIN)
    return Match(found, by_id=False) if found else None


def _left(connection: MailConnection) -> QuerySet[Message]:
    related = Message.objects.select_related("enrollment__candidate", "sequence__owner", "sequence__organization")
    return related.filter(connection=connection, state__in=Message.LEFT).order_by("-permitted_at", "-id")


def _named(message_ids: Iterable[str], connection: MailConnection) -> Message | None:
    """The first that is ours: the nearest is named first."""
    wanted = list(message_ids)[:_MOST_IDS]
    ours = {
        message.internet_message_id: message for message in _left(connection).filter(internet_message_id__in=wanted)
    }
    return next((ours[each] for each in wanted if each in ours), None)


def _in_conversation(letter: Letter, connection: MailConnection) -> Message | None:
    """Microsoft's conversation is a hint only: unrelated emails of the same subject have shared one."""
    if not letter.conversation_id:
        return None
    domain = company_domain(letter.from_address)
    for message in _left(connection).filter(conversation_id=letter.conversation_id)[:_MOST_IDS]:
        recipient = message.to_address.lower()
        if letter.from_address == recipient or (domain and domain == company_domain(recipient)):
            return message
    return None


def _lately_written_to(
    addresses: Iterable[str], letter: Letter, connection: MailConnection, within: timedelta = ANSWERED_WITHIN
) -> Message | None:
    wanted = [address for address in addresses if address][:_MOST_IDS]
    if not wanted:
        return None
    people = Candidate.objects.alias(address=Lower("email")).filter(
        organization=connection.organization_id, address__in=wanted
    )
    lately = (letter.received_at - within, letter.received_at)
    return _left(connection).filter(enrollment__candidate__in=people, permitted_at__range=lately).first()
