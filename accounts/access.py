"""Fetching is the check: a person or an invitation of another organization is not there."""

from collections.abc import Callable
from functools import wraps

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from accounts.models import Invitation, Notification, User


class MemberRequest(HttpRequest):
    """A request behind `login_required`."""

    user: User


def searched(request: HttpRequest) -> str:
    """What a list is searched for; without NUL, which PostgreSQL refuses."""
    return request.GET.get("q", "").replace("\0", "").strip()[:100]


def admin_required(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For admins of an organization; a member is refused (403), an anonymous person signs in first."""

    @wraps(view)
    def checked(request: MemberRequest, *args: object, **kwargs: object) -> HttpResponse:
        if not request.user.is_admin:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return login_required(checked)


def get_colleague(user: User, pk: int) -> User:
    return get_object_or_404(User, pk=pk, organization=user.organization_id)


def get_invitation(user: User, pk: int) -> Invitation:
    invitations = Invitation.objects.select_related("organization", "invited_by")
    return get_object_or_404(invitations, pk=pk, organization=user.organization_id)


def get_own_notification(user: User, pk: int) -> Notification:
    return get_object_or_404(Notification, pk=pk, user=user)
