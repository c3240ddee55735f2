"""Hand a sequence to somebody else, for example because its owner has left."""

from datetime import datetime

from django.db import transaction
from django.urls import reverse

from accounts.auditing import record
from accounts.models import User
from accounts.notifying import notify
from mailconnect.models import MailConnection
from sequences import activating, pausing
from sequences.models import Enrollment, Sequence


class HandingOverRefused(Exception):
    """Why it cannot be handed over; as text the sentence for people."""


@transaction.atomic
def hand_over(
    *, sequence: Sequence, to: User, connection: MailConnection | None = None, actor: User, now: datetime
) -> None:
    """`to` becomes the owner and resumes it. It pauses meanwhile, with its place in every enrollment.

    `to` must be allowed to send from its mailboxes, or from `connection`, which then takes their place: for where the
    old owner's mailbox is gone. Raises `HandingOverRefused`.
    """
    heir = User.objects.select_for_update(no_key=True).get(pk=to.pk)
    sequence = activating.locked(sequence.pk)
    before = sequence.owner
    _check(sequence, heir)
    if connection:
        _send_from(sequence, connection)
    sequence.owner = heir
    if objection := pausing.objection(sequence, now):
        raise HandingOverRefused(_sentence(objection, heir))
    if sequence.state == Sequence.State.ACTIVE or sequence.starting_at:
        sequence.state_changed_at, sequence.starting_at = now, None
    if sequence.state != Sequence.State.DRAFT:
        sequence.state, sequence.paused_reason = Sequence.State.PAUSED, "handed_over"
    changed = ["owner", "connection", "state", "paused_reason", "starting_at", "state_changed_at"]
    sequence.save(update_fields=changed)
    record(
        organization=sequence.organization,
        actor=actor,
        action="sequence.handed_over",
        target=sequence,
        now=now,
        before=before.pk,
        after=heir.pk,
        mailbox=sequence.connection_id,
    )
    _tell(sequence, before, heir, actor, now)


def _check(sequence: Sequence, heir: User) -> None:
    if not heir.is_active or heir.organization_id != sequence.organization_id:
        raise HandingOverRefused("That person is not an active member of your organization.")
    if heir.pk == sequence.owner_id:
        raise HandingOverRefused(f"{heir} has this sequence already.")
    if sequence.state == Sequence.State.ARCHIVED:
        raise HandingOverRefused("This sequence is archived.")


def _send_from(sequence: Sequence, connection: MailConnection) -> None:
    """One mailbox for the whole sequence."""
    if connection.organization_id != sequence.organization_id:
        raise HandingOverRefused("That mailbox belongs to another organization.")
    sequence.connection = connection
    sequence.steps.exclude(connection=None).update(connection=None)
    Enrollment.objects.filter(sequence=sequence).update(connection=connection)


def _sentence(objection: str, heir: User) -> str:
    if objection in ("mailbox_removed", "owner_left"):
        return "Its mailbox is gone. Choose another one that the new owner may send from."
    if objection == "mailbox_reconnect":
        return "Its mailbox needs reconnecting first. Or choose another one that the new owner may send from."
    return f"{heir} has no permission to send from its mailbox. The mailbox's owner must give it first."


def _tell(sequence: Sequence, before: User, heir: User, actor: User, now: datetime) -> None:
    address = reverse("sequences:detail", args=[sequence.pk])
    notify(
        user=heir,
        kind="sequence_handed_over",
        title=f"“{sequence.name}” is yours now",
        text=f"{actor} handed it from {before} to you. Look it over, then resume.",
        url=address,
        now=now,
    )
    if before.pk != actor.pk:
        notify(
            user=before,
            kind="sequence_handed_over",
            title=f"“{sequence.name}” was handed to {heir}",
            text=f"{actor} did so.",
            url=address,
            now=now,
        )
