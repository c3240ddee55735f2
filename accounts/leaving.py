"""People leave and come back: deactivate, activate, change roles. Nothing is ever deleted."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from django.db import transaction
from django.urls import reverse

from accounts.auditing import record
from accounts.models import Invitation, Organization, User
from accounts.notifying import notify


class LeavingRefused(Exception):
    """The message is a sentence for the person who tried."""


class Dependents(Protocol):
    """What a person has in the apps above this one, which may not be imported from here."""

    def foresee(self, user: User, now: datetime) -> list[str]:
        """Sentences that say what `leave()` would end, for the page that asks before."""

    def leave(self, user: User, actor: User | None, now: datetime) -> Callable[[], int]:
        """End it, inside the deactivating transaction.

        What it returns is called once that is committed: it waits for the emails that were already on their way, and
        returns how many they were.
        """


_dependents: list[Dependents] = []


def register(dependents: Dependents) -> None:
    if not any(type(known) is type(dependents) for known in _dependents):
        _dependents.append(dependents)


def foresee(user: User, now: datetime) -> list[str]:
    """What `deactivate()` would do, in sentences."""
    ended = [sentence for each in _dependents for sentence in each.foresee(user, now)]
    return [f"{user} is signed out everywhere and cannot sign in any more.", *ended, *_lapsing(user, now)]


def deactivate(*, user: User, actor: User | None, now: datetime) -> int:
    """`user` can no longer sign in, and everything that needs the person stops, in one transaction.

    Returns how many emails were already on their way. Not in a transaction. `actor` is none for an operator at the
    command line. Raises LeavingRefused for oneself and for the last admin.
    """
    if actor == user:
        raise LeavingRefused("You cannot deactivate yourself. Ask another admin.")
    with transaction.atomic():
        _lock_people(user.organization_id)
        user.refresh_from_db()
        if not user.is_active:
            return 0
        _keep_an_admin(user)
        user.is_active, user.deactivated_at = False, now
        user.save(update_fields=["is_active", "deactivated_at"])
        waits = [each.leave(user, actor, now) for each in _dependents]
        record(organization=user.organization, actor=actor, action="user.deactivated", target=user, now=now)
    return sum(wait() for wait in waits)


def too_late(on_their_way: int) -> str:
    """The sentence about what can no longer be called back; nothing where there is nothing."""
    if not on_their_way:
        return ""
    return f"{on_their_way} email{'s were' if on_their_way > 1 else ' was'} already on the way and may arrive."


def activate(*, user: User, actor: User | None, now: datetime) -> None:
    """Let a deactivated person sign in again. Mailbox and permissions do not come back by themselves."""
    with transaction.atomic():
        if User.objects.filter(pk=user.pk, is_active=False).update(is_active=True, deactivated_at=None):
            record(organization=user.organization, actor=actor, action="user.activated", target=user, now=now)


def change_role(*, user: User, role: str, actor: User | None, now: datetime) -> None:
    """Raises LeavingRefused when it would leave the organization without an admin."""
    with transaction.atomic():
        _lock_people(user.organization_id)
        user.refresh_from_db()
        if user.role == role:
            return
        if role != User.Role.ADMIN:
            _keep_an_admin(user)
        user.role = role
        user.save(update_fields=["role"])
        record(organization=user.organization, actor=actor, action="user.role_changed", target=user, now=now, role=role)
        notify(
            user=user,
            kind="role_changed",
            title=f"You are {'an admin' if user.is_admin else 'a member'} of {user.organization} now",
            text=f"{actor or 'An operator'} changed your role.",
            url=reverse("accounts:profile"),
            now=now,
        )


def _lapsing(user: User, now: datetime) -> list[str]:
    """An invitation is the word of who sent it (`Invitation.objects.open`)."""
    invited = Invitation.objects.open(now).filter(invited_by=user).order_by("email").values_list("email", flat=True)
    return [f"The invitation of {email} lapses. Another admin can send it again." for email in invited]


def _lock_people(organization_id: int) -> None:
    """Two admins who remove each other at the same moment take turns here."""
    Organization.objects.select_for_update(no_key=True).get(pk=organization_id)


def _keep_an_admin(user: User) -> None:
    admins = User.objects.filter(organization=user.organization_id, role=User.Role.ADMIN, is_active=True)
    if user.is_admin and not admins.exclude(pk=user.pk).exists():
        raise LeavingRefused(f"{user} is the last admin of {user.organization}. Make somebody else an admin first.")
