"""The admin site: everything can be found, nothing secret is shown, and nothing goes past the pages' functions."""

from collections.abc import Callable
from datetime import datetime

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django_q.models import OrmQ, Schedule, Task

from accounts import inviting
from accounts.auditing import record
from accounts.models import AuditEvent, Invitation, Notification, Organization, User
from accounts.notifying import notify
from tests.mailconnect.owning import connected

ClientOf = Callable[[User], Client]
MODELS = [Organization, User, Invitation, Notification, AuditEvent]


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_superuser("op@operators.example", "a quiet long pass phrase", name="Olga Operator")


@pytest.fixture
def staff(ada: User) -> User:
    """May do everything in the admin that permissions can give, in the own organization."""
    ada.is_staff = True
    ada.save()
    ada.user_permissions.set(Permission.objects.all())
    return ada


@pytest.fixture(autouse=True)
def rows(ada: User, mallory: User, now: datetime) -> None:
    for user in (ada, mallory):
        notify(user=user, kind="x", title=f"Notice for {user.name}", now=now)
        record(organization=user.organization, actor=user, action="user.activated", target=user, now=now)
        inviting.invite(
            organization=user.organization, email=f"new-{user.email}", role="member", invited_by=user, now=now
        )


def _list(model: type) -> str:
    return reverse(f"admin:accounts_{model._meta.model_name}_changelist")  # type: ignore[attr-defined]


@pytest.mark.parametrize("model", MODELS)
def test_finds_rows_and_shows_no_secret(client_of: ClientOf, operator: User, model: type) -> None:
    client = client_of(operator)
    row = model.objects.order_by("pk").first()  # type: ignore[attr-defined]

    pages = [
        client.get(_list(model), {"q": "a"}),
        client.get(reverse(f"admin:accounts_{model._meta.model_name}_change", args=[row.pk])),  # type: ignore[attr-defined]
    ]

    secrets = [
        *Invitation.objects.values_list("token_hash", flat=True),
        *User.objects.values_list("password", flat=True),
    ]
    for page in pages:
        assert page.status_code == 200
        assert not [secret for secret in secrets if secret in page.content.decode()]


@pytest.mark.parametrize("person", ["operator", "staff"])
def test_opens_every_list(client_of: ClientOf, person: str, request: pytest.FixtureRequest) -> None:
    client = client_of(request.getfixturevalue(person))

    for model in admin.site._registry:
        path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        assert client.get(path, {"q": "a"}).status_code in ((200,) if person == "operator" else (200, 403)), model


@pytest.mark.parametrize("model", [OrmQ, Schedule, Task, EmailAddress, Authenticator])
def test_leaves_out_the_queue_and_the_second_factor(model: type) -> None:
    assert not admin.site.is_registered(model)


@pytest.mark.parametrize("model", MODELS)
def test_shows_staff_their_own_organization_only(client_of: ClientOf, staff: User, mallory: User, model: type) -> None:
    page = client_of(staff).get(_list(model)).content.decode()

    assert "Elsewhere" not in page
    assert "allory" not in page


def test_hides_people_of_others_from_staff(client_of: ClientOf, staff: User, mallory: User) -> None:
    client = client_of(staff)

    answer = client.get(reverse("admin:accounts_user_change", args=[mallory.pk]))
    client.post(_list(User), {"action": "deactivate", "_selected_action": [mallory.pk]})

    mallory.refresh_from_db()
    assert answer.status_code == 302
    assert mallory.is_active


def test_deactivates_as_the_page_does(
    client_of: ClientOf, operator: User, ada: User, alice: User, now: datetime
) -> None:
    connection = connected(alice, now)

    client_of(operator).post(_list(User), {"action": "deactivate", "_selected_action": [alice.pk, ada.pk]})

    for each in (alice, ada, connection):
        each.refresh_from_db()
    assert not alice.is_active
    assert connection.state == "removed"
    assert AuditEvent.objects.get(action="user.deactivated").actor == operator
    assert ada.is_active, "the last admin stays"


def test_lets_staff_make_nobody_an_operator(client_of: ClientOf, staff: User, bob: User) -> None:
    sent = {"name": "Bob Baker", "is_staff": "on", "is_superuser": "on", "role": "admin"}

    client_of(staff).post(reverse("admin:accounts_user_change", args=[bob.pk]), sent)

    bob.refresh_from_db()
    assert (bob.is_staff, bob.is_superuser, bob.role) == (False, False, "member")


def test_lets_staff_touch_no_operator(client_of: ClientOf, staff: User, bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(is_superuser=True)

    client_of(staff).post(_list(User), {"action": "deactivate", "_selected_action": [bob.pk]})

    bob.refresh_from_db()
    assert bob.is_active


@pytest.mark.parametrize("model", [Invitation, Notification, AuditEvent])
@pytest.mark.parametrize("act", ["add", "change", "delete"])
def test_changes_no_record(client_of: ClientOf, operator: User, model: type, act: str) -> None:
    row = model.objects.first()  # type: ignore[attr-defined]
    before = model.objects.count()  # type: ignore[attr-defined]
    name = f"admin:accounts_{model._meta.model_name}_{act}"  # type: ignore[attr-defined]

    answer = client_of(operator).post(reverse(name, args=[] if act == "add" else [row.pk]), {"post": "yes"})

    assert answer.status_code == 403
    assert model.objects.count() == before  # type: ignore[attr-defined]


@pytest.mark.parametrize("model", [User, Organization])
def test_deletes_nobody(client_of: ClientOf, operator: User, model: type) -> None:
    row = model.objects.first()  # type: ignore[attr-defined]
    path = reverse(f"admin:accounts_{model._meta.model_name}_delete", args=[row.pk])  # type: ignore[attr-defined]

    assert client_of(operator).post(path, {"post": "yes"}).status_code == 403


def test_is_closed_to_members(client_of: ClientOf, bob: User) -> None:
    assert client_of(bob).get(reverse("admin:index")).status_code in (302, 403)
