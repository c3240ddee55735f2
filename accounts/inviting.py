"""Invite a person by mail, take the invitation back, and join by it."""

import hashlib
import secrets
from datetime import datetime

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.auditing import record
from accounts.models import INVITATION_LIFE, Invitation, Organization, User
from accounts.notifying import notify


class InvitationGone(Exception):
    """It was accepted, revoked or has lapsed in the meantime."""


def invite(
    *, organization: Organization, email: str, role: str, invited_by: User, now: datetime
) -> tuple[Invitation, str]:
    """Open an invitation. Returns it with its token, which is kept nowhere: mail it at once.

    An open invitation to the same address is replaced, and its link ends.
    """
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        _unanswered(organization, email).update(revoked_at=now)
        invitation = Invitation.objects.create(
            organization=organization,
            email=email.lower(),
            role=role,
            invited_by=invited_by,
            token_hash=_hash(token),
            created_at=now,
            expires_at=now + INVITATION_LIFE,
        )
        record(
            organization=organization,
            actor=invited_by,
            action="invitation.sent",
            target=invitation,
            now=now,
            role=str(role),
        )
    return invitation, token


def mail(invitation: Invitation, token: str) -> None:
    """Raises OSError (as SMTPException is one) when the mail server does not take it."""
    link = settings.SITE_URL + reverse("accounts:invitation", args=[token])
    subject = f"{invitation.invited_by} invites you to {invitation.organization}"
    send_mail(
        " ".join(subject.split()),  # a line feed in a name would be refused
        render_to_string("accounts/invitation_mail.txt", {"invitation": invitation, "link": link}),
        None,
        [invitation.email],
    )


def revoke(*, invitation: Invitation, actor: User, now: datetime) -> None:
    """Also one that has lapsed: if its admin came back, it would let somebody in again."""
    with transaction.atomic():
        unanswered = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None)
        if unanswered.update(revoked_at=now):
            record(
                organization=invitation.organization,
                actor=actor,
                action="invitation.revoked",
                target=invitation,
                now=now,
            )


def find(token: str, now: datetime) -> Invitation | None:
    """The open invitation that the token belongs to."""
    invitations = Invitation.objects.open(now).select_related("organization", "invited_by")
    return invitations.filter(token_hash=_hash(token)).first()


def join(*, user: User, invitation: Invitation, now: datetime) -> None:
    """Save the new `user` into the organization that invited the address. Call it in a transaction.

    Raises InvitationGone, also when another sign-up has used the invitation meanwhile.
    """
    taken = Invitation.objects.open(now).filter(pk=invitation.pk, email__iexact=user.email)
    if not taken.update(accepted_at=now):
        raise InvitationGone
    user.organization = invitation.organization
    user.role = invitation.role
    user.save()
    record(organization=user.organization, actor=user, action="invitation.accepted", target=invitation, now=now)
    notify(
        user=invitation.invited_by,
        kind="invitation_accepted",
        title=f"{user} has joined",
        text=f"{user} accepted your invitation to {invitation.organization}.",
        url=reverse("accounts:people"),
        now=now,
    )


def found(*, user: User, organization_name: str, now: datetime) -> None:
    """Save the new `user` as the admin of an organization of their own. Call it in a transaction."""
    user.organization = Organization.objects.create(name=organization_name, created_at=now)
    user.role = User.Role.ADMIN
    user.save()
    record(organization=user.organization, actor=user, action="organization.founded", target=user.organization, now=now)


def _unanswered(organization: Organization, email: str) -> QuerySet[Invitation]:
    return Invitation.objects.filter(organization=organization, email__iexact=email, accepted_at=None, revoked_at=None)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
