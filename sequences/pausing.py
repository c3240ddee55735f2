"""What pauses, and what is still under way, when a mailbox, a grant or a person stops; and how it goes on."""

from collections.abc import Collection, Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.urls import reverse

from accounts.models import User
from accounts.notifying import notify
from mailconnect import first_emails, queue
from mailconnect.models import DelegationGrant, MailConnection, MailConnectionQuerySet
from mailconnect.permission import PASSING, Refusal
from mailconnect.stopping import Activity, Effect, Stop
from sequences.models import Enrollment, Message, Sequence
from sequences.reasons import PAUSED

_LEFT = (Message.State.ACCEPTED, Message.State.SENT)
# It sends, or will as soon as its times are planned.
_RUNNING = Q(state=Sequence.State.ACTIVE) | Q(starting_at__isnull=False)
# What became of the last grant, said as the reason of the pause.
_ENDED = {
    DelegationGrant.Archived.REVOKED: "grant_revoked",
    DelegationGrant.Archived.EXPIRED: "grant_expired",
    DelegationGrant.Archived.POLICY: "policy",
}


class Sequences:
    """`mailconnect.stopping.Dependents`, answered by sequences."""

    def preview(self, stop: Stop, now: datetime) -> Effect:
        return _effect(_depending_on(stop, now))

    def lock(self, stops: Collection[Stop], now: datetime) -> None:
        found = {pk for stop in stops for pk in _depending_on(stop, now).values_list("pk", flat=True)}
        _lock(Sequence.objects.filter(pk__in=found))

    def pause(self, stop: Stop, now: datetime) -> Effect:
        effect = _pause(_depending_on(stop, now), stop.reason, now)
        if stop.person and effect.sequences:
            _tell_admins(stop.person, len(effect.sequences), now)
        return effect

    def in_flight(self, stops: Collection[Stop]) -> int:
        """By state alone: an age would be by another machine's clock, which may be wrong."""
        under = Q(pk__in=[])
        for stop in stops:
            under |= _under(stop)
        # Asked again and again: what is under way has a `check_at`, and only that is in a mailbox's small index.
        return Message.objects.filter(under, state=Message.State.SENDING, check_at__isnull=False).count()

    def allow_again(self, connection: MailConnection, now: datetime) -> None:
        _look_at_caps_anew(connection, now)
        stopped = Sequence.objects.filter(state=Sequence.State.PAUSED).exclude(paused_reason="")
        for sequence in stopped.filter(_sends_from(connection)).filter(owner__is_active=True).select_related("owner"):
            if not objection(sequence, now):
                _tell_resumable(sequence, connection, now)

    def activity(self, connection: MailConnection) -> dict[int, Activity]:
        running: dict[int, list[tuple[int, str]]] = {}
        active = Sequence.objects.filter(_sends_from(connection), state=Sequence.State.ACTIVE)
        for owner, pk, name in active.order_by("name", "pk").values_list("owner", "pk", "name"):
            running.setdefault(owner, []).append((pk, name))
        left = Message.objects.filter(connection=connection, state__in=_LEFT).order_by().values_list("permitted_to")
        sent = dict(left.annotate(count=Count("pk")))
        return {
            person: Activity(running=running.get(person, []), sent=sent.get(person, 0))
            for person in running.keys() | sent.keys()
        }

    def choices(self, organization_id: int, person_id: int | None) -> list[tuple[int, str]]:
        open_ones = Sequence.objects.filter(organization=organization_id).exclude(state=Sequence.State.ARCHIVED)
        newest = open_ones.order_by("-created_at", "-pk")
        if person_id:
            return list(newest.filter(owner=person_id).values_list("pk", "name"))
        return [(pk, f"{name} ({owner})") for pk, name, owner in newest.values_list("pk", "name", "owner__name")]

    def names(self, sequence_ids: Collection[int], organization_id: int) -> dict[int, str]:
        found = Sequence.objects.filter(pk__in=sequence_ids, organization=organization_id)
        return dict(found.values_list("pk", "name"))


def pause_refused(refusals: Iterable[Refusal], now: datetime) -> None:
    """Pause every running sequence that depends on a permission that `permit()` or `foresee()` found missing.

    Each is paused once, with the reason; its owner and the mailbox's owner are told once, not once per email. Where
    only the owner's word to the first email is missing, nothing pauses and the owner is asked for it, once.
    May be called in the transaction that marked the messages, after `permit()` (it locks sequences, after its rows).
    """
    found = {(each.ask.connection_id, each.ask.person_id, each.reason): each for each in refusals}
    with transaction.atomic():
        for refusal in found.values():
            if refusal.reason == "awaiting_approval":
                _ask_owner(refusal, now)
            elif refusal.reason not in PASSING:
                _pause_refused(refusal, now)


def objection(sequence: Sequence, now: datetime) -> str:
    """Why the sequence's owner may not send it from all of its mailboxes now: a key of PAUSED, or nothing."""
    if not sequence.owner.is_active:
        return "grantee_left"
    mailboxes = MailConnection.objects.filter(pk__in=mailboxes_of(sequence))
    if broken := mailboxes.exclude(state=MailConnection.State.CONNECTED).select_related("owner").first():
        return _why_not_connected(broken)
    if missing := without_permission(sequence, now).first():
        return _why_no_permission(missing, sequence.owner_id, now)
    return ""


def without_permission(sequence: Sequence, now: datetime) -> MailConnectionQuerySet:
    """Of its mailboxes those that its owner may not send it from."""
    mailboxes = MailConnection.objects.filter(pk__in=mailboxes_of(sequence))
    usable = mailboxes.usable_by(sequence.owner, now, sequence_id=sequence.pk)
    return mailboxes.exclude(pk__in=usable.values("pk"))


def mailboxes_of(sequence: Sequence) -> set[int]:
    """The ids of the mailboxes that it sends from: its own and those that steps name."""
    named = set(sequence.steps.exclude(connection=None).values_list("connection_id", flat=True))
    inheriting = not named or sequence.steps.filter(connection=None).exists()
    return (named | {sequence.connection_id} if inheriting else named) - {None}  # type: ignore[return-value]


def _ask_owner(refusal: Refusal, now: datetime) -> None:
    ask = refusal.ask
    assert refusal.grant_id
    grant = DelegationGrant.objects.select_related("granted_by").get(pk=refusal.grant_id)
    approval = first_emails.ask(grant=grant, sequence_id=ask.sequence_id, message_key=ask.key, now=now)
    if approval is None:
        return
    sequence = Sequence.objects.select_related("owner").get(pk=ask.sequence_id)
    notify(
        user=grant.granted_by,
        kind="first_email",
        title=f"{sequence.owner} asks you to read a first email",
        text=f"“{sequence.name}” waits for your word before anything leaves from your mailbox.",
        url=reverse("sequences:first_email", args=[approval.pk]),
        once=f"first_email:{approval.pk}",
        now=now,
    )


def _pause_refused(refusal: Refusal, now: datetime) -> None:
    connection = MailConnection.objects.select_related("owner").get(pk=refusal.ask.connection_id)
    running = Sequence.objects.filter(state=Sequence.State.ACTIVE)
    match refusal.reason:
        case "not_connected":
            depending, reason = running.filter(_sends_from(connection)), _why_not_connected(connection)
        case "owner_inactive":
            depending, reason = running.filter(_sends_from(connection)), "owner_left"
        case "initiator_inactive":
            depending, reason = running.filter(owner=refusal.ask.person_id), "grantee_left"
        case _:
            theirs = running.filter(_sends_from(connection), owner=refusal.ask.person_id)
            depending = theirs.exclude(_allowed(connection, now))
            reason = "grant_scope" if refusal.grant_id else _why_no_permission(connection, refusal.ask.person_id, now)
    if _pause(depending, reason, now).sequences:
        _tell_mailbox_owner(connection, reason, now)


def pause(sequence: Sequence, reason: str, now: datetime) -> None:
    """Pause this one if it is running, and tell its owner."""
    _pause(Sequence.objects.filter(pk=sequence.pk), reason, now)


def _pause(depending: QuerySet[Sequence], reason: str, now: datetime) -> Effect:
    """Only what runs pauses, under lock: who comes second finds nothing left to pause or to tell."""
    paused = _lock(depending.filter(_RUNNING))
    changed = Sequence.objects.filter(pk__in=[sequence.pk for sequence in paused])
    effect = _effect(changed)
    changed.update(state=Sequence.State.PAUSED, paused_reason=reason, starting_at=None, state_changed_at=now)
    for sequence in paused:
        tell_paused(sequence, reason, now)
    return effect


def _lock(sequences: QuerySet[Sequence]) -> list[Sequence]:
    locked = sequences.order_by("pk").select_for_update(of=("self",), no_key=True)
    return list(locked.select_related("owner"))


def _look_at_caps_anew(connection: MailConnection, now: datetime) -> None:
    """What waits for the end of a daily cap may go on under other terms. The mailbox is locked by who gives them."""
    capped = Sequence.objects.filter(_sends_from(connection), state=Sequence.State.ACTIVE, held_reason="grant_cap")
    waiting = [sequence.pk for sequence in _lock(capped)]
    if Sequence.objects.filter(pk__in=waiting).update(held_until=None, held_reason=""):
        queue.ring([connection.pk], at=now)


def _sends_from(connection: MailConnection | None) -> Q:
    """Sequences with the mailbox as theirs, or as one of their steps'."""
    by_steps = Sequence.objects.filter(steps__connection=connection).values("pk")
    return Q(connection=connection) | Q(pk__in=by_steps)


def _under(stop: Stop) -> Q:
    """The messages that were permitted under what stops."""
    if stop.grant:
        return Q(grant=stop.grant)
    if stop.person:
        return Q(permitted_to=stop.person)
    return Q(connection=stop.connection)


def _depending_on(stop: Stop, now: datetime) -> QuerySet[Sequence]:
    """The running sequences that can no longer send, because of the stop."""
    running = Sequence.objects.filter(_RUNNING)
    if stop.person:
        return running.filter(owner=stop.person)
    if stop.grant is None:
        return running.filter(_sends_from(stop.connection))
    connection = stop.grant.connection
    others = running.filter(_sends_from(connection)).exclude(owner=connection.owner_id)
    if stop.grant.sequence_id:
        others = others.filter(pk=stop.grant.sequence_id)
    if stop.grant.grantee_id:
        others = others.filter(owner=stop.grant.grantee_id)
    return others.exclude(_allowed(connection, now, without=stop.grant))


def _allowed(connection: MailConnection, now: datetime, *, without: DelegationGrant | None = None) -> Exists:
    """Of a sequence: its owner holds a live grant for it (for the preview of a revocation: another one)."""
    grants = DelegationGrant.objects.live(now).filter(
        Q(grantee=None) | Q(grantee=OuterRef("owner")),
        Q(sequence_id=None) | Q(sequence_id=OuterRef("pk")),
        connection=connection,
    )
    return Exists(grants.exclude(pk=without.pk) if without else grants)


def _why_not_connected(connection: MailConnection) -> str:
    if not connection.owner.is_active:
        return "owner_left"
    return "mailbox_removed" if connection.state == MailConnection.State.REMOVED else "mailbox_reconnect"


def _why_no_permission(connection: MailConnection, person_id: int, now: datetime) -> str:
    """What became of the last permission, if there ever was one."""
    grants = DelegationGrant.objects.filter(Q(grantee=person_id) | Q(grantee=None), connection=connection)
    last = grants.order_by("-created_at", "-pk").first()
    if last is None:
        return "no_permission"
    if last.is_live(now):
        return "grant_scope"
    if last.archived_at is None:
        return "grant_expired"
    return _ENDED.get(DelegationGrant.Archived(last.archived_reason), "no_permission")


def _effect(sequences: QuerySet[Sequence]) -> Effect:
    found = list(sequences.order_by("name", "pk").values_list("pk", "name"))
    waiting = Enrollment.objects.filter(
        sequence__in=[pk for pk, _ in found], state=Enrollment.State.ACTIVE, due_at__isnull=False
    )
    return Effect(sequences=found, waiting=waiting.count())


def tell_paused(sequence: Sequence, reason: str, now: datetime) -> None:
    what, next_step = PAUSED[reason]
    notify(
        user=sequence.owner,
        kind="sequence_paused",
        title=f"“{sequence.name}” is paused",
        text=f"{what} {next_step}",
        url=_address_of(sequence),
        now=now,
    )


def _tell_mailbox_owner(connection: MailConnection, reason: str, now: datetime) -> None:
    notify(
        user=connection.owner,
        kind="sending_refused",
        title="Sending from your mailbox was stopped",
        text=f"{PAUSED[reason][0]} Sequences that relied on it are paused.",
        url=reverse("mailconnect:permissions"),
        once=f"sending_refused:{connection.pk}:{reason}",
        now=now,
    )


def _tell_admins(leaver: User, count: int, now: datetime) -> None:
    admins = User.objects.filter(organization=leaver.organization_id, role=User.Role.ADMIN, is_active=True)
    one = f"A sequence of {leaver} waits for a new owner"
    for admin in admins:
        notify(
            user=admin,
            kind="sequences_without_owner",
            title=f"{count} of {leaver}'s sequences wait for a new owner" if count > 1 else one,
            text=f"{leaver} was deactivated. Hand them to colleagues who may send from their mailboxes.",
            url=reverse("sequences:sequences_of", args=[leaver.pk]),
            once=f"sequences_without_owner:{leaver.pk}",
            now=now,
        )


def _tell_resumable(sequence: Sequence, connection: MailConnection, now: datetime) -> None:
    notify(
        user=sequence.owner,
        kind="sequence_resumable",
        title=f"“{sequence.name}” can go on",
        text=f"You may send from {connection.address} again. Resume the sequence where it stopped.",
        url=_address_of(sequence),
        once=f"sequence_resumable:{sequence.pk}",
        now=now,
    )


def _address_of(sequence: Sequence) -> str:
    return reverse("sequences:detail", args=[sequence.pk])
