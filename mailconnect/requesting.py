"""Ask a colleague for permission to send from the mailbox; approve, decline, withdraw, or let it lapse."""

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse

from accounts.auditing import record
from accounts.models import User
from accounts.notifying import notify, settled
from mailconnect import granting, stopping
from mailconnect.granting import GrantRefused, Terms
from mailconnect.models import REQUEST_LIFE, DelegationGrant, DelegationRequest, MailConnection

State = DelegationRequest.State

REFUSALS: dict[str, str] = {
    "own_mailbox": "This is your own mailbox: you need no permission for it.",
    "not_connected": "This mailbox is not connected at the moment, so there is nothing to allow.",
    "owner_left": "The owner of this mailbox is no longer active.",
    "already_asked": "You have asked already. The owner has not answered yet.",
    "already_allowed": "You may send from this mailbox already.",
    "answered": "This request has been answered already.",
    "lapsed": "This request has lapsed. It can be made again.",
    "withdrawn": "This request was withdrawn.",
    "requester_left": "The person who asked is no longer an active member of your organization.",
}
_KIND = "permission_request"  # of the notices
_CLOSED = {State.APPROVED: "answered", State.DECLINED: "answered", State.LAPSED: "lapsed", State.WITHDRAWN: "withdrawn"}


class RequestRefused(Exception):
    """A request cannot be made or answered. `reason` is a key of REFUSALS; as text it is the sentence for people."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(REFUSALS[reason])


def ask(
    *, connection: MailConnection, requester: User, sequence_id: int | None = None, note: str = "", now: datetime
) -> DelegationRequest:
    """Ask the mailbox's owner, who is told. Raises `RequestRefused`."""
    with transaction.atomic():
        mailbox = _lock_to_ask(connection, requester)
        _lapse(_open().filter(connection=mailbox, requester=requester, lapses_at__lte=now), now)
        if _open().filter(connection=mailbox, requester=requester).exists():
            raise RequestRefused("already_asked")
        allowed = MailConnection.objects.usable_by(requester, now, sequence_id=sequence_id)
        if allowed.filter(pk=mailbox.pk).exists():
            raise RequestRefused("already_allowed")
        request = DelegationRequest.objects.create(
            connection=mailbox,
            requester=requester,
            sequence_id=sequence_id,
            note=note,
            created_at=now,
            lapses_at=now + REQUEST_LIFE,
        )
        _record("request.made", request, requester, now)
        _tell(request, mailbox.owner, f"{requester} asks to send from your mailbox", note, now)
    return request


def approve(*, request: DelegationRequest, actor: User, terms: Terms, now: datetime) -> DelegationGrant:
    """Answer with a permission on these terms. A narrower one that is there is replaced. Not in a transaction.

    Raises `RequestRefused` where it is answered, lapsed or its asker gone, `GrantRefused` where it may not be given.
    """
    with transaction.atomic():
        mailbox = _lock_to_approve(request, actor)
        _close(request, State.APPROVED, now)
        existing = DelegationGrant.objects.live(now).filter(connection=mailbox, grantee=request.requester).first()
        if existing:
            given, stop, effect = granting.renew(mailbox, existing, terms, now)
        else:
            given, stop, effect = granting.give(mailbox, request.requester, terms, now), None, None
        DelegationRequest.objects.filter(pk=request.pk).update(grant=given)
        _record("request.approved", request, actor, now, grant=given.pk)
    if stop and effect and effect.sequences:
        stopping.drain(stop)
    return given


def decline(*, request: DelegationRequest, actor: User, now: datetime) -> None:
    """Answer with a no; the asker is told. Raises `RequestRefused`."""
    with transaction.atomic():
        _close(request, State.DECLINED, now)
        _record("request.declined", request, actor, now)
        _tell(request, request.requester, f"{actor} declined your request", "Choose another mailbox, or speak.", now)


def withdraw(*, request: DelegationRequest, now: datetime) -> None:
    """The asker takes it back. Raises `RequestRefused`."""
    with transaction.atomic():
        _close(request, State.WITHDRAWN, now)
        _record("request.withdrawn", request, request.requester, now)


def lapse(now: datetime) -> int:
    """Close the requests that nobody answered in time and tell who asked. Returns how many."""
    due = _open().filter(lapses_at__lte=now).select_related("connection__organization", "connection__owner")
    return sum(_lapse_one(request, now) for request in due.select_related("requester"))


@transaction.atomic
def _lapse_one(request: DelegationRequest, now: datetime) -> int:
    if not _lapse(_open().filter(pk=request.pk), now):
        return 0
    _settle(request, now)
    _record("request.lapsed", request, None, now)
    owner = request.connection.owner
    _tell(request, request.requester, f"{owner} did not answer your request", "You can ask again.", now)
    return 1


def _lock_to_ask(connection: MailConnection, requester: User) -> MailConnection:
    """The people and the mailbox, locked in the order that everybody keeps, and read again."""
    owner_id = connection.owner_id
    people = User.objects.select_for_update(no_key=True).order_by("pk").in_bulk({owner_id, requester.pk})
    mailbox = MailConnection.objects.select_related("owner", "organization")
    mailbox_now = mailbox.select_for_update(of=("self",), no_key=True).get(pk=connection.pk)
    if mailbox_now.owner_id == requester.pk:
        raise RequestRefused("own_mailbox")
    if mailbox_now.owner_id != owner_id or not people[owner_id].is_active:
        raise RequestRefused("owner_left")
    if mailbox_now.state == MailConnection.State.REMOVED:
        raise RequestRefused("not_connected")
    return mailbox_now


def _lock_to_approve(request: DelegationRequest, actor: User) -> MailConnection:
    """As for any grant; that the asker left is said of the request."""
    try:
        return granting.lock_to_grant(request.connection, request.requester, actor)
    except GrantRefused as refusal:
        if refusal.reason == "not_a_colleague":
            raise RequestRefused("requester_left") from refusal
        raise


def _open() -> QuerySet[DelegationRequest]:
    return DelegationRequest.objects.filter(state=State.REQUESTED)


def _close(request: DelegationRequest, state: "DelegationRequest.State", now: datetime) -> None:
    """Only an open one closes, and only once: two answers at once are one."""
    closed = _open().filter(pk=request.pk, lapses_at__gt=now).update(state=state, decided_at=now)
    if not closed:
        request.refresh_from_db()
        raise RequestRefused(_CLOSED.get(State(request.state), "lapsed"))
    _settle(request, now)


def _lapse(requests: QuerySet[DelegationRequest], now: datetime) -> int:
    return requests.update(state=State.LAPSED, decided_at=now)


def _tell(request: DelegationRequest, user: User, title: str, text: str, now: datetime) -> None:
    notify(
        user=user,
        kind=_KIND,
        title=title,
        text=text,
        url=_address_of(request),
        now=now,
    )


def _settle(request: DelegationRequest, now: datetime) -> None:
    """There is nothing left to answer."""
    settled(user=request.connection.owner, kind=_KIND, url=_address_of(request), now=now)


def _address_of(request: DelegationRequest) -> str:
    return reverse("mailconnect:request", args=[request.pk])


def _record(action: str, request: DelegationRequest, actor: User | None, now: datetime, **details: int) -> None:
    record(
        organization=request.connection.organization,
        actor=actor,
        action=action,
        target=request,
        now=now,
        mailbox=request.connection_id,
        requester=request.requester_id,
        **details,
    )
