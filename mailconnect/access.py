"""Fetching is the check: a mailbox that is not one's own is not there."""

from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404

from accounts.models import User
from mailconnect.models import DelegationGrant, DelegationRequest, MailConnection


def own_connection(user: User) -> MailConnection | None:
    """The person's live mailbox, if there is one."""
    return MailConnection.objects.live().filter(owner=user, organization=user.organization_id).first()


def get_own_connection(user: User) -> MailConnection:
    return get_object_or_404(MailConnection.objects.live(), owner=user, organization=user.organization_id)


def get_own_or_governed_grant(user: User, pk: int) -> DelegationGrant:
    """A permission that `user` may end: of the own mailbox or, for an admin, of any in the organization."""
    grants = _grants(user)
    return get_object_or_404(grants if user.is_admin else grants.filter(connection__owner=user), pk=pk)


def get_own_grant(user: User, pk: int) -> DelegationGrant:
    """A permission to send from the own mailbox."""
    return get_object_or_404(_grants(user), pk=pk, connection__owner=user)


def get_request(user: User, pk: int) -> DelegationRequest:
    """A request that `user` made, or that asks for the own mailbox."""
    requests = DelegationRequest.objects.filter(connection__organization=user.organization_id)
    related = requests.select_related("connection__owner", "connection__organization", "requester", "grant")
    return get_object_or_404(related.filter(Q(requester=user) | Q(connection__owner=user)), pk=pk)


def get_colleague(user: User, pk: int) -> User:
    """Anybody in the own organization, active or not."""
    return get_object_or_404(User, pk=pk, organization=user.organization_id)


def get_colleagues_connection(user: User, pk: int) -> MailConnection:
    """A live mailbox of the organization: to ask for."""
    live = MailConnection.objects.live().filter(organization=user.organization_id)
    return get_object_or_404(live.select_related("owner"), pk=pk)


def colleagues_connections(user: User, text: str) -> QuerySet[MailConnection]:
    """Live mailboxes of active colleagues whose name or address holds `text`."""
    live = MailConnection.objects.live().filter(organization=user.organization_id, owner__is_active=True)
    found = live.filter(Q(owner__name__icontains=text) | Q(address__icontains=text)).exclude(owner=user)
    return found.select_related("owner").order_by("owner__name", "address")


def colleagues_to_grant(user: User, text: str) -> QuerySet[User]:
    """Active colleagues whose name or address holds `text`."""
    active = User.objects.filter(organization=user.organization_id, is_active=True).exclude(pk=user.pk)
    return active.filter(Q(name__icontains=text) | Q(email__icontains=text)).order_by("name", "email")


def _grants(user: User) -> QuerySet[DelegationGrant]:
    grants = DelegationGrant.objects.filter(connection__organization=user.organization_id)
    return grants.select_related("connection__owner", "connection__organization", "grantee", "archived_by")
