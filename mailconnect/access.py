"""Fetching is the check: a mailbox that is not one's own is not there."""

from django.shortcuts import get_object_or_404

from accounts.models import User
from mailconnect.models import MailConnection


def own_connection(user: User) -> MailConnection | None:
    """The person's live mailbox, if there is one."""
    return MailConnection.objects.live().filter(owner=user, organization=user.organization_id).first()


def get_own_connection(user: User) -> MailConnection:
    return get_object_or_404(MailConnection.objects.live(), owner=user, organization=user.organization_id)
