"""What stands above every tab of a sequence: its state with the reason and the way on, its numbers, its tabs."""

from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from mailconnect.models import DelegationRequest, FirstEmailApproval, MailConnection
from sequences import access, pausing, reporting
from sequences.models import Sequence
from sequences.reasons import PAUSED, TO_ASK, WAITING

APPROVAL = "awaiting_approval"
TONES = {"draft": "secondary", "active": "success", "paused": "warning", "archived": "secondary"}
TABS = {
    "detail": "Enrollments",
    "emails": "Emails",
    "sequence_replies": "Replies",
    "steps": "Steps",
    "dry_run": "Dry run",
}


def head(user: User, sequence: Sequence, tab: str) -> dict[str, Any]:
    numbers = reporting.numbers(sequence)
    counts = {"detail": numbers["enrolled"], "emails": numbers["emails"]}
    return {
        "sequence": sequence,
        "numbers": numbers,
        "may_edit": access.may_edit(user, sequence),
        "state_text": "Starting" if sequence.starting_at else sequence.get_state_display(),
        "state_tone": "primary" if sequence.starting_at else TONES[sequence.state],
        "why_paused": PAUSED.get(sequence.paused_reason),
        "to_ask": _to_ask(user, sequence, timezone.now()) if _lacks_permission(sequence) else [],
        "tabs": [
            {"text": text, "url": reverse(f"sequences:{name}", args=[sequence.pk]), "is_current": name == tab}
            | {"count": counts.get(name)}
            for name, text in TABS.items()
        ],
        "waiting": _waiting(sequence, timezone.now()) if sequence.state == Sequence.State.ACTIVE else [],
        "waits_for_start": numbers["active"] and sequence.state != Sequence.State.ACTIVE and not sequence.starting_at,
    }


def _lacks_permission(sequence: Sequence) -> bool:
    return sequence.state == Sequence.State.PAUSED and sequence.paused_reason in TO_ASK


def _to_ask(user: User, sequence: Sequence, now: datetime) -> list[tuple[MailConnection, int | None]]:
    """The mailboxes that `user`, who runs the sequence, can ask for, each with the request that waits already."""
    if sequence.owner_id != user.pk:
        return []
    mailboxes = list(pausing.without_permission(sequence, now).live().select_related("owner").order_by("address"))
    requests = DelegationRequest.objects.filter(requester=user, connection__in=mailboxes, lapses_at__gt=now)
    waiting = dict(requests.filter(state=DelegationRequest.State.REQUESTED).values_list("connection", "pk"))
    return [(mailbox, waiting.get(mailbox.pk)) for mailbox in mailboxes]


def _waiting(sequence: Sequence, now: datetime) -> list[tuple[str, datetime | None]]:
    """Why nothing leaves at the moment although it runs, and until when, where that is known."""
    mailbox = sequence.connection
    found: list[tuple[str, datetime | None]] = []
    holds = [(row.held_reason, row.held_until) for row in (sequence, mailbox) if row]
    if sequence.held_reason == APPROVAL:  # the owner's word ends this wait, not its time
        holds = holds[1:]
        if not FirstEmailApproval.objects.filter(sequence_id=sequence.pk, approved_at__isnull=False).exists():
            found.append((WAITING[APPROVAL], None))
    found += [
        (WAITING.get(reason, WAITING["mailbox_unwell"]), until) for reason, until in holds if until and until > now
    ]
    if mailbox and mailbox.is_away(now):
        scheduled = mailbox.automatic_replies == MailConnection.AutomaticReplies.SCHEDULED
        found.append((WAITING["away"], mailbox.away_until if scheduled else None))
    return found


def row_id(text: str | None) -> int | None:
    """An id from an address bar, if it is one."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None
