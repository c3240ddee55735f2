"""How a connection ends: its owner removes it, Microsoft no longer lets us in, or its owner leaves."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.db import transaction
from django.db.models import Q, QuerySet
from django.urls import reverse

from accounts.auditing import record
from accounts.models import User
from accounts.notifying import notify
from mailconnect import stopping
from mailconnect.models import DefaultMailbox, DelegationGrant, DelegationRequest, MailConnection, TokenCache
from mailconnect.reasons import next_step, sentence
from mailconnect.stopping import Effect, Stop


@dataclass(frozen=True, kw_only=True)
class Removed:
    """What the removal paused, and how many emails were already on their way when it came."""

    effect: Effect
    on_their_way: int


def foresee_removal(connection: MailConnection, now: datetime) -> tuple[Effect, list[DelegationGrant]]:
    """What `remove()` would pause, and the grants it would archive: for the page that asks before."""
    grants = DelegationGrant.objects.live(now).filter(connection=connection).select_related("grantee")
    return stopping.preview(Stop(connection=connection, reason="mailbox_removed"), now), list(grants)


def remove(*, connection: MailConnection, actor: User, now: datetime) -> Removed:
    """Forget the tokens, archive the grants, pause what sends from it, tell the people; then wait for what had left.

    Sequences, candidates and messages stay: connecting the same mailbox again revives the connection.
    """
    stop = Stop(connection=connection, reason="mailbox_removed", actor=actor)
    with transaction.atomic():
        effect = _end(connection, stop, DelegationGrant.Archived.MAILBOX_REMOVED, now)
    return Removed(effect=effect, on_their_way=stopping.drain(stop))


def leave(user: User, actor: User | None, now: datetime) -> Callable[[], int]:
    """`user` is deactivated: the mailbox goes, so does every permission given and received, and all the person runs.

    Runs inside the transaction of the deactivation, after the user's row was changed (so nothing is granted to or by
    the person meanwhile). Call what it returns after the commit: it waits for what had already been permitted, and
    says how many that were.
    """
    mailboxes = list(MailConnection.objects.live().filter(owner=user).order_by("pk").select_for_update(no_key=True))
    grants = _locked_grants(Q(grantee=user) | Q(connection__in=mailboxes))
    own = Stop(person=user, reason="grantee_left", actor=actor)
    theirs = [Stop(connection=each, reason="owner_left", actor=actor) for each in mailboxes]
    stopping.lock_dependents(own, *theirs, now=now)
    for grant in grants:
        if grant.grantee_id != user.pk:
            continue
        _archive(DelegationGrant.objects.filter(pk=grant.pk), DelegationGrant.Archived.GRANTEE_LEFT, actor, now)
        _record_grantee_left(grant, actor, now)
    _lapse(DelegationRequest.objects.filter(requester=user), now)
    DefaultMailbox.objects.filter(user=user).delete()
    # Before the mailboxes: what the person ran needs a new owner first of all, also where it used the own mailbox.
    stopping.pause_dependents(own, now)
    for connection, stop in zip(mailboxes, theirs, strict=True):
        _end(connection, stop, DelegationGrant.Archived.OWNER_LEFT, now)
    return partial(stopping.drain, own, *theirs)


def needs_reconnecting(*, connection: MailConnection, reason: str, now: datetime) -> None:
    """Only the owner can help: `reason` (of `reasons.SENTENCES`) is kept, what sends from it pauses, the owner is told.

    Does nothing to a connection that is not connected. Grants stay: they count again after reconnecting.
    """
    with transaction.atomic():
        changed = MailConnection.objects.connected().filter(pk=connection.pk)
        if not changed.update(state=MailConnection.State.RECONNECT, reason=reason, state_changed_at=now):
            return
        connection.refresh_from_db()
        effect = stopping.pause_dependents(Stop(connection=connection, reason="mailbox_reconnect"), now)
        record(
            organization=connection.organization,
            actor=None,
            action="mailbox.needs_reconnecting",
            target=connection,
            now=now,
            reason=reason,
            sequences_paused=len(effect.sequences),
        )
        notify(
            user=connection.owner,
            kind="mailbox_reconnect",
            title="Your mailbox needs reconnecting",
            text=f"{sentence(reason)} {next_step(reason)}",
            url=reverse("mailconnect:settings"),
            once=f"mailbox_reconnect:{connection.pk}",
            now=now,
        )


def _end(ended: MailConnection, stop: Stop, archived: DelegationGrant.Archived, now: datetime) -> Effect:
    """Everything that ends with a mailbox, in the caller's transaction."""
    connection = MailConnection.objects.select_for_update(no_key=True).get(pk=ended.pk)
    connection.state = MailConnection.State.REMOVED
    connection.reason = ""
    connection.state_changed_at = now
    connection.save(update_fields=["state", "reason", "state_changed_at"])
    TokenCache.objects.filter(connection=connection).delete()
    DefaultMailbox.objects.filter(connection=connection).delete()
    grants = _locked_grants(Q(connection=connection))
    _tell_grantees(connection, grants, now)
    still_open = DelegationGrant.objects.filter(pk__in=[grant.pk for grant in grants])
    archived_count = _archive(still_open, archived, stop.actor, now)
    _lapse(DelegationRequest.objects.filter(connection=connection), now)
    effect = stopping.pause_dependents(stop, now)
    record(
        organization=connection.organization,
        actor=stop.actor,
        action="mailbox.removed",
        target=connection,
        now=now,
        reason=stop.reason,
        grants_archived=archived_count,
        sequences_paused=len(effect.sequences),
    )
    return effect


def _locked_grants(which: Q) -> list[DelegationGrant]:
    """Those that are not archived, locked by id, as everybody does."""
    grants = DelegationGrant.objects.filter(which, archived_at=None).order_by("pk")
    related = grants.select_related("grantee", "connection__organization")
    return list(related.select_for_update(of=("self",), no_key=True))


def _archive(
    grants: QuerySet[DelegationGrant], reason: DelegationGrant.Archived, actor: User | None, now: datetime
) -> int:
    return grants.update(archived_at=now, archived_reason=reason, archived_by=actor)


def _record_grantee_left(grant: DelegationGrant, actor: User | None, now: datetime) -> None:
    record(
        organization=grant.connection.organization,
        actor=actor,
        action="grant.grantee_left",
        target=grant,
        now=now,
        mailbox=grant.connection_id,
        grantee=grant.grantee_id,
        version=grant.version,
    )


def _lapse(requests: QuerySet[DelegationRequest], now: datetime) -> None:
    open_ones = requests.filter(state=DelegationRequest.State.REQUESTED)
    open_ones.update(state=DelegationRequest.State.LAPSED, decided_at=now)


def _tell_grantees(connection: MailConnection, grants: Collection[DelegationGrant], now: datetime) -> None:
    for grant in grants:
        if grant.grantee is None:
            continue
        notify(
            user=grant.grantee,
            kind="mailbox_removed",
            title=f"{connection.owner} removed a mailbox that you could send from",
            text=f"Sequences that send from {connection.address} are paused. Choose another mailbox for them.",
            url=reverse("home"),
            now=now,
        )
