"""What pauses, and what is still under way, when a mailbox or a grant stops; and how it goes on."""

from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from accounts.notifying import notify
from mailconnect.models import DelegationGrant, MailConnection
from mailconnect.stopping import PERMIT_LIFE_SECONDS, Effect, Stop
from sequences.models import Enrollment, Message, Sequence
from sequences.reasons import PAUSED


class Sequences:
    """`mailconnect.stopping.Dependents`, answered by sequences."""

    def preview(self, stop: Stop, now: datetime) -> Effect:
        return _effect(_depending_on(stop, now))

    def pause(self, stop: Stop, now: datetime) -> Effect:
        depending = list(_depending_on(stop, now).select_related("owner").select_for_update(of=("self",), no_key=True))
        effect = _effect(Sequence.objects.filter(pk__in=[sequence.pk for sequence in depending]))
        Sequence.objects.filter(pk__in=[sequence.pk for sequence in depending]).update(
            state=Sequence.State.PAUSED, paused_reason=stop.reason, state_changed_at=now
        )
        for sequence in depending:
            _tell(sequence, stop.reason, now)
        return effect

    def in_flight(self, stop: Stop) -> int:
        permitted = timezone.now() - timedelta(seconds=PERMIT_LIFE_SECONDS)
        leaving = Message.objects.filter(state=Message.State.SENDING, permitted_at__gt=permitted)
        if stop.grant:
            return leaving.filter(grant=stop.grant).count()
        return leaving.filter(connection=stop.connection).count()

    def allow_again(self, connection: MailConnection, now: datetime) -> None:
        paused = Sequence.objects.filter(_sends_from(connection), state=Sequence.State.PAUSED).exclude(paused_reason="")
        for sequence in paused.select_related("owner").distinct():
            if MailConnection.objects.usable_by(sequence.owner, now).filter(pk=connection.pk).exists():
                notify(
                    user=sequence.owner,
                    kind="sequence_resumable",
                    title=f"“{sequence.name}” can go on",
                    text=f"You may send from {connection.address} again. Resume the sequence where it stopped.",
                    url=_address_of(sequence),
                    once=f"sequence_resumable:{sequence.pk}",
                    now=now,
                )


def _sends_from(connection: MailConnection) -> Q:
    return Q(connection=connection) | Q(steps__connection=connection)


def _depending_on(stop: Stop, now: datetime) -> QuerySet[Sequence]:
    """The active sequences that can no longer send, because of the stop."""
    active = Sequence.objects.filter(
        pk__in=Sequence.objects.filter(_sends_from(stop.connection), state=Sequence.State.ACTIVE).values("pk")
    )
    if stop.grant is None:
        return active
    others = active.exclude(owner=stop.connection.owner_id)
    if stop.grant.sequence_id:
        others = others.filter(pk=stop.grant.sequence_id)
    if stop.grant.grantee_id:
        others = others.filter(owner=stop.grant.grantee_id)
    return others.exclude(owner__in=_still_allowed(stop, now))


def _still_allowed(stop: Stop, now: datetime) -> QuerySet[User]:
    """Those who hold another live permission for everything from the mailbox."""
    assert stop.grant is not None
    grants = DelegationGrant.objects.live(now).filter(connection=stop.connection, sequence_id=None)
    grants = grants.exclude(pk=stop.grant.pk)
    if grants.filter(grantee=None).exists():
        return User.objects.filter(organization=stop.connection.organization_id, is_active=True)
    return User.objects.filter(pk__in=grants.values("grantee"), is_active=True)


def _effect(sequences: QuerySet[Sequence]) -> Effect:
    found = list(sequences.order_by("name").values_list("pk", "name"))
    waiting = Enrollment.objects.filter(
        sequence__in=[pk for pk, _ in found], state=Enrollment.State.ACTIVE, due_at__isnull=False
    )
    return Effect(sequences=found, waiting=waiting.count())


def _tell(sequence: Sequence, reason: str, now: datetime) -> None:
    what, next_step = PAUSED[reason]
    notify(
        user=sequence.owner,
        kind="sequence_paused",
        title=f"“{sequence.name}” is paused",
        text=f"{what} {next_step}",
        url=_address_of(sequence),
        now=now,
    )


def _address_of(sequence: Sequence) -> str:
    return reverse("sequences:detail", args=[sequence.pk])
