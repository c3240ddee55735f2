"""Mailboxes and permissions in the admin."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import User
from mailconnect import granting
from mailconnect.granting import Terms
from mailconnect.models import DelegationGrant, MailConnection
from sequences.models import Sequence
from tests.mailconnect.owning import connected, granted
from tests.sequences.permitting import running

pytestmark = pytest.mark.django_db
LIST = "admin:mailconnect_delegationgrant_changelist"


@pytest.fixture
def mailbox(alice: User, now: datetime) -> MailConnection:
    return connected(alice, now)


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_superuser("olga@operators.example", "a quiet long pass phrase")


def staff(user: User, *codenames: str) -> User:
    User.objects.filter(pk=user.pk).update(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return User.objects.get(pk=user.pk)


def revoke(client: Client, *grants: DelegationGrant) -> None:
    sent = {"action": "revoke_grants", "_selected_action": [grant.pk for grant in grants]}
    assert client.post(reverse(LIST), sent, follow=True).status_code in (200, 403)


def test_revokes_through_the_same_function_as_the_page(
    mailbox: MailConnection, bob: User, operator: User, client_of: Callable[[User], Client]
) -> None:
    grant, sequence = granted(mailbox, bob), running(bob, mailbox)

    revoke(client_of(operator), grant)

    grant.refresh_from_db()
    sequence.refresh_from_db()
    assert (grant.archived_reason, grant.archived_by) == ("revoked", operator)
    assert sequence.state == Sequence.State.PAUSED


@pytest.mark.parametrize(
    ("chosen", "shown"),
    [
        ("standing=live", {"bob", "carol"}),
        ("standing=expiring", {"carol"}),
        ("standing=ended", {"ada"}),
        ("archived_reason__exact=revoked", {"ada"}),
        ("q=carol", {"carol"}),
        ("q=alice", {"ada", "bob", "carol"}),
    ],
)
def test_finds_permissions_by_standing_owner_and_colleague(
    chosen: str,
    shown: set[str],
    mailbox: MailConnection,
    alice: User,
    bob: User,
    carol: User,
    ada: User,
    operator: User,
    now: datetime,
    client_of: Callable[[User], Client],
) -> None:
    granted(mailbox, bob)
    soon = Terms(expires_at=now + timedelta(days=3))
    granting.grant(connection=mailbox, grantee=carol, actor=alice, terms=soon, now=now)
    granting.revoke(grant=granted(mailbox, ada), actor=alice, now=now)

    found = client_of(operator).get(f"{reverse(LIST)}?{chosen}").context["cl"].queryset

    assert {grant.grantee.first_name.lower() for grant in found} == shown


def test_shows_the_history_of_a_permission(
    mailbox: MailConnection, alice: User, bob: User, operator: User, now: datetime, client_of: Callable[[User], Client]
) -> None:
    first = granting.grant(connection=mailbox, grantee=bob, actor=alice, terms=Terms(), now=now)
    second = granting.change(grant=first, actor=alice, terms=Terms(daily_cap=3), now=now).grant
    granting.revoke(grant=second, actor=operator, now=now)

    address = reverse("admin:mailconnect_delegationgrant_change", args=[first.pk])
    page = client_of(operator).get(address).content.decode()

    for line in (
        "version 1, grant.given, by Alice",
        "version 2, grant.changed, by Alice",
        "version 2, grant.revoked, by",
    ):
        assert line in page


def test_deletes_and_edits_nothing(
    mailbox: MailConnection, bob: User, operator: User, client_of: Callable[[User], Client]
) -> None:
    grant, client = granted(mailbox, bob), client_of(operator)

    assert client.get(reverse("admin:mailconnect_delegationgrant_delete", args=[grant.pk])).status_code == 403
    assert client.get(reverse("admin:mailconnect_delegationgrant_add")).status_code == 403
    assert "delete_selected" not in client.get(reverse(LIST)).content.decode()


@pytest.mark.parametrize(
    "model", ["mailconnection", "delegationgrant", "delegationrequest", "adminconsent", "defaultmailbox"]
)
def test_shows_staff_their_own_organization_only(
    model: str, mailbox: MailConnection, mallory: User, bob: User, client_of: Callable[[User], Client]
) -> None:
    granted(mailbox, bob)
    client = client_of(staff(mallory, f"view_{model}"))

    page = client.get(reverse(f"admin:mailconnect_{model}_changelist"))

    assert page.status_code == 200
    assert list(page.context["cl"].queryset) == []
    assert "alice" not in page.content.decode().lower()
    assert "Demo" not in page.content.decode()


def test_lets_staff_revoke_only_with_the_right_to_and_only_at_home(
    mailbox: MailConnection, ada: User, bob: User, mallory: User, client_of: Callable[[User], Client]
) -> None:
    grant = granted(mailbox, bob)

    for person, rights in ((mallory, ["view", "change"]), (ada, ["view"])):
        revoke(client_of(staff(person, *(f"{right}_delegationgrant" for right in rights))), grant)
        grant.refresh_from_db()
        assert grant.archived_at is None

    revoke(client_of(staff(ada, "view_delegationgrant", "change_delegationgrant")), grant)
    grant.refresh_from_db()
    assert grant.archived_by == ada
