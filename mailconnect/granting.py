"""Give, change and revoke permissions to send from a mailbox; and what else ends them: time, and policy."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.urls import reverse

from accounts.auditing import record
from accounts.models import Organization, User
from accounts.notifying import notify
from mailconnect import stopping
from mailconnect.models import DelegationGrant, FirstEmailApproval, MailConnection
from mailconnect.stopping import Effect, Stop

REFUSALS: dict[str, str] = {
    "own_mailbox": "This is your own mailbox: you need no permission for it.",
    "not_owner": "Only the mailbox's owner can give permission to send from it.",
    "not_connected": "This mailbox is not connected any more. Connect it first, then give permission.",
    "not_a_colleague": "That person is not an active member of your organization.",
    "already_granted": "That permission is there already. You can change its terms.",
    "team_forbidden": "Your organization does not allow “Entire team”. Choose specific people.",
    "needs_an_end": "Your organization asks for an end within {days} days. Choose an expiry date.",
    "ends_in_the_past": "The expiry date has passed. Choose a later one.",
    "ended": "This permission has already ended.",
}


class GrantRefused(Exception):
    """A permission cannot be given. `reason` is a key of REFUSALS; as text it is the sentence for people."""

    def __init__(self, reason: str, **values: int) -> None:
        self.reason = reason
        super().__init__(REFUSALS[reason].format(**values))


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a permission is limited to; empty: nothing."""

    expires_at: datetime | None = None
    daily_cap: int | None = None
    sequence_id: int | None = None
    approve_first_email: bool = False


@dataclass(frozen=True, kw_only=True)
class Revoked:
    """What a revocation did. Where somebody was quicker (or time was), `acted` is false and nothing was done."""

    grant: DelegationGrant
    acted: bool
    effect: Effect
    on_their_way: int = 0


def grant(
    *, connection: MailConnection, grantee: User | None, actor: User, terms: Terms, now: datetime
) -> DelegationGrant:
    """Let `grantee` (none: the entire team) send from `actor`'s mailbox. Raises `GrantRefused`."""
    with transaction.atomic():
        mailbox = lock_to_grant(connection, grantee, actor)
        return give(mailbox, grantee, terms, now)


def change(*, grant: DelegationGrant, actor: User, terms: Terms, now: datetime) -> Revoked:
    """Replace the terms: a new version, the old one archived. Only what the new terms forbid pauses.

    Returns what the old one's end did; `grant` in it is the new one. Raises `GrantRefused`. Not in a transaction.
    """
    with transaction.atomic():
        mailbox = lock_to_grant(grant.connection, grant.grantee, actor)
        renewed, stop, effect = renew(mailbox, grant, terms, now)
    on_their_way = stopping.drain(stop) if effect.sequences else 0
    return Revoked(grant=renewed, acted=True, effect=effect, on_their_way=on_their_way)


def give(mailbox: MailConnection, grantee: User | None, terms: Terms, now: datetime) -> DelegationGrant:
    """A permission where there is none. In the transaction of `lock_to_grant()`."""
    given = _create(mailbox, grantee, terms, version=_next_version(mailbox, grantee), now=now)
    _record("grant.given", given, mailbox.owner, now)
    _tell_grantee(given, f"You may now send from {mailbox.address}", now)
    stopping.allow_again(mailbox, now)
    return given


def renew(
    mailbox: MailConnection, old: DelegationGrant, terms: Terms, now: datetime
) -> tuple[DelegationGrant, Stop, Effect]:
    """Other terms in place of `old`'s, in the transaction of `lock_to_grant()`. Drain the stop after it."""
    stop = Stop(grant=old, reason="grant_scope", actor=mailbox.owner)
    if not _archive(_live(now).filter(pk=old.pk), DelegationGrant.Archived.CHANGED, mailbox.owner, now):
        raise GrantRefused("ended")
    # Two sets of them change below: those that pause, and those that a cap held.
    stopping.lock_dependents(Stop(connection=mailbox, reason="grant_scope"), now=now)
    renewed = _create(mailbox, old.grantee, terms, version=old.version + 1, now=now)
    _carry_over(old, renewed)
    _record("grant.changed", renewed, mailbox.owner, now, replaces=old.pk)
    _tell_grantee(renewed, f"Your permission to send from {mailbox.address} has new terms", now)
    effect = stopping.pause_dependents(stop, now)
    stopping.allow_again(mailbox, now)
    return renewed, stop, effect


def foresee_revocation(grant: DelegationGrant, now: datetime) -> Effect:
    """Which sequences would pause, with how many emails waiting: for the page that asks before."""
    return stopping.preview(Stop(grant=grant, reason="grant_revoked"), now)


def revoke(*, grant: DelegationGrant, actor: User, now: datetime) -> Revoked:
    """End the permission. When this returns, no request to send under it will be started. Not in a transaction.

    Of two who revoke at once one acts; the other is told, and waits for the same messages.
    """
    stop = Stop(grant=grant, reason="grant_revoked", actor=actor)
    with transaction.atomic():
        # Expired but not archived yet: it ends as revoked all the same.
        open_ones = DelegationGrant.objects.filter(pk=grant.pk, archived_at=None)
        acted = bool(_archive(open_ones, DelegationGrant.Archived.REVOKED, actor, now))
        grant = DelegationGrant.objects.select_related("connection__owner", "grantee", "archived_by").get(pk=grant.pk)
        effect = _ended(stop, grant, now) if acted else Effect()
    return Revoked(grant=grant, acted=acted, effect=effect, on_their_way=stopping.drain(stop))


def expire(now: datetime) -> int:
    """Archive what time has ended, pause what depends on it. Returns how many. Safe to call anywhere, at once."""
    due = DelegationGrant.objects.filter(archived_at=None, expires_at__lte=now)
    return sum(_expire(grant, now) for grant in due.select_related("connection__owner", "grantee"))


def outside_of_policy(organization: Organization, now: datetime) -> QuerySet[DelegationGrant]:
    """The live grants that the organization's policy, as `organization` says it, no longer allows."""
    outside = Q(pk__in=[])
    if not organization.allow_team_grants:
        outside |= Q(grantee=None)
    if organization.grant_max_days is not None:
        longest = timedelta(days=organization.grant_max_days)
        outside |= Q(expires_at=None) | Q(expires_at__gt=F("created_at") + longest)
    grants = _live(now).filter(outside, connection__organization=organization)
    return grants.select_related("connection__owner", "grantee")


def apply_policy(organization: Organization, actor: User | None, now: datetime) -> int:
    """The policy was tightened: archive what is outside of it and pause what depends on that. Returns how many.

    Call it after the policy is saved, in its transaction or not; the wait for what was on its way comes after commit.
    """
    with transaction.atomic():
        outside = outside_of_policy(organization, now).order_by("pk")
        grants = list(outside.select_for_update(of=("self",), no_key=True))
        _archive(_live(now).filter(pk__in=[each.pk for each in grants]), DelegationGrant.Archived.POLICY, actor, now)
        stops = [Stop(grant=grant, reason="policy", actor=actor) for grant in grants]
        stopping.lock_dependents(*stops, now=now)
        for stop, grant in zip(stops, grants, strict=True):
            _ended(stop, grant, now)
        transaction.on_commit(lambda: _drained(stops))
    return len(stops)


def longest_end(organization: Organization, now: datetime) -> datetime | None:
    """The latest end that the policy allows for a permission given now; none: without end."""
    if organization.grant_max_days is None:
        return None
    return now + timedelta(days=organization.grant_max_days)


def lock_to_grant(connection: MailConnection, grantee: User | None, actor: User) -> MailConnection:
    """Both people and the mailbox, locked and read again, so that nobody is deactivated and nothing removed meanwhile.

    Call it in a transaction. Raises `GrantRefused`.
    """
    wanted = {actor.pk} | ({grantee.pk} if grantee else set())
    people = User.objects.select_for_update(no_key=True).order_by("pk").in_bulk(wanted)
    mailbox = MailConnection.objects.select_related("organization", "owner")
    mailbox_now = mailbox.select_for_update(of=("self",), no_key=True).get(pk=connection.pk)
    if mailbox_now.owner_id != actor.pk or not people[actor.pk].is_active:
        raise GrantRefused("not_owner")
    if mailbox_now.state != MailConnection.State.CONNECTED:
        raise GrantRefused("not_connected")
    if grantee and grantee.pk == actor.pk:
        raise GrantRefused("own_mailbox")
    if grantee and not _is_colleague(people[grantee.pk], mailbox_now):
        raise GrantRefused("not_a_colleague")
    return mailbox_now


def _is_colleague(person: User, mailbox: MailConnection) -> bool:
    return person.is_active and person.organization_id == mailbox.organization_id


def _create(
    mailbox: MailConnection, grantee: User | None, terms: Terms, *, version: int, now: datetime
) -> DelegationGrant:
    """A new row, its mailbox locked. An expired one in its place makes room."""
    _check_policy(mailbox.organization, grantee, terms, now)
    same = DelegationGrant.objects.filter(connection=mailbox, grantee=grantee, archived_at=None)
    for expired in same.filter(expires_at__lte=now):
        _expire(expired, now)
    if same.exists():
        raise GrantRefused("already_granted")
    return DelegationGrant.objects.create(
        connection=mailbox,
        grantee=grantee,
        granted_by_id=mailbox.owner_id,
        version=version,
        expires_at=terms.expires_at,
        daily_cap=terms.daily_cap,
        sequence_id=terms.sequence_id,
        approve_first_email=terms.approve_first_email,
        created_at=now,
    )


def _carry_over(old: DelegationGrant, renewed: DelegationGrant) -> None:
    """What was sent today counts against the new cap, and a first email that was approved stays approved."""
    old.refresh_from_db(fields=["used_on", "used_count"])
    DelegationGrant.objects.filter(pk=renewed.pk).update(used_on=old.used_on, used_count=old.used_count)
    approved = FirstEmailApproval.objects.filter(grant=old).exclude(approved_at=None)
    FirstEmailApproval.objects.bulk_create(
        FirstEmailApproval(
            grant=renewed,
            sequence_id=each.sequence_id,
            message_key=each.message_key,
            requested_at=each.requested_at,
            approved_at=each.approved_at,
        )
        for each in approved
    )


def _check_policy(organization: Organization, grantee: User | None, terms: Terms, now: datetime) -> None:
    if grantee is None and not organization.allow_team_grants:
        raise GrantRefused("team_forbidden")
    if terms.expires_at and terms.expires_at <= now:
        raise GrantRefused("ends_in_the_past")
    longest = longest_end(organization, now)
    if longest and (terms.expires_at is None or terms.expires_at > longest):
        raise GrantRefused("needs_an_end", days=organization.grant_max_days or 0)


def _next_version(mailbox: MailConnection, grantee: User | None) -> int:
    """Versions count through everything that was ever agreed for this colleague and this mailbox."""
    last = DelegationGrant.objects.filter(connection=mailbox, grantee=grantee).order_by("-version").first()
    return last.version + 1 if last else 1


def _live(now: datetime) -> QuerySet[DelegationGrant]:
    return DelegationGrant.objects.live(now)


def _archive(
    grants: QuerySet[DelegationGrant], reason: DelegationGrant.Archived, actor: User | None, now: datetime
) -> int:
    return grants.update(archived_at=now, archived_reason=reason, archived_by=actor)


@transaction.atomic
def _expire(grant: DelegationGrant, now: datetime) -> int:
    open_ones = DelegationGrant.objects.filter(pk=grant.pk, archived_at=None, expires_at__lte=now)
    if not _archive(open_ones, DelegationGrant.Archived.EXPIRED, None, now):
        return 0
    _ended(Stop(grant=grant, reason="grant_expired"), grant, now)
    return 1


def _ended(stop: Stop, grant: DelegationGrant, now: datetime) -> Effect:
    """What follows from the end of a grant, in its transaction: pauses, the record, and the word to the people."""
    effect = stopping.pause_dependents(stop, now)
    action = {"grant_revoked": "grant.revoked", "grant_expired": "grant.expired", "policy": "grant.ended_by_policy"}
    _record(action[stop.reason], grant, stop.actor, now, sequences_paused=len(effect.sequences))
    _tell_grantee(grant, _farewell(grant, stop.reason), now)
    owner = grant.connection.owner
    if stop.actor is None or stop.actor.pk != owner.pk:
        notify(
            user=owner,
            kind="grant_ended",
            title=f"{grant.grantee or 'The entire team'} may no longer send from your mailbox",
            text=_why(stop),
            url=reverse("mailconnect:permissions"),
            now=now,
        )
    return effect


def _farewell(grant: DelegationGrant, reason: str) -> str:
    verb = "has expired" if reason == "grant_expired" else "was revoked" if reason == "grant_revoked" else "has ended"
    return f"Your permission to send from {grant.connection.address} {verb}"


def _why(stop: Stop) -> str:
    if stop.reason == "grant_expired":
        return "The permission has expired. You can give it again."
    if stop.reason == "policy":
        return "Your organization no longer allows this kind of permission."
    return f"{stop.actor} revoked the permission."


def _tell_grantee(grant: DelegationGrant, title: str, now: datetime) -> None:
    """A permission of the entire team is not told to everybody; those whose sequences pause hear of that."""
    if grant.grantee:
        notify(
            user=grant.grantee,
            kind="grant",
            title=title,
            text=f"The mailbox belongs to {grant.connection.owner}.",
            url=reverse("mailconnect:permissions"),
            now=now,
        )


def _record(action: str, grant: DelegationGrant, actor: User | None, now: datetime, **details: int) -> None:
    record(
        organization=grant.connection.organization,
        actor=actor,
        action=action,
        target=grant,
        now=now,
        mailbox=grant.connection_id,
        grantee=grant.grantee_id,
        version=grant.version,
        **details,
    )


def _drained(stops: list[Stop]) -> None:
    stopping.drain(*stops)
