"""The audit trail: append-only for the database too, and readable by admins."""

import importlib
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.auditing import record
from accounts.models import AuditEvent, User

ClientOf = Callable[[User], Client]
AUDIT = reverse("accounts:audit")


@pytest.fixture
def event(ada: User, bob: User, now: datetime) -> AuditEvent:
    return record(organization=ada.organization, actor=ada, action="grant.revoked", target=bob, now=now)


@pytest.fixture
def protected(db: None) -> None:
    """As a production database is: tests of other things take the trigger for deletion away on SQLite."""
    migration = importlib.import_module("accounts.migrations.0006_audit_is_append_only")
    migration.protect(apps, connection.schema_editor())


@pytest.mark.parametrize(
    "change",
    [
        lambda events: events.update(action="nothing.happened"),
        lambda events: events.update(actor=None),
        lambda events: events.delete(),
        lambda events: events.get().delete(),
    ],
)
def test_cannot_be_changed_or_deleted(event: AuditEvent, protected: None, change: Callable[[object], object]) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        change(AuditEvent.objects.filter(pk=event.pk))

    assert AuditEvent.objects.get(pk=event.pk).action == "grant.revoked"


def test_tells_who_did_what(client_of: ClientOf, ada: User, event: AuditEvent) -> None:
    page = client_of(ada).get(AUDIT).content.decode()

    assert "Grant revoked" in page
    assert "Bob Baker" in page


def test_stays_in_the_organization(client_of: ClientOf, mallory: User, event: AuditEvent) -> None:
    User.objects.filter(pk=mallory.pk).update(role=User.Role.ADMIN)

    page = client_of(mallory).get(AUDIT, {"actor": str(event.actor_id)}).content.decode()

    assert "Grant revoked" not in page


@pytest.mark.parametrize(
    ("wanted", "is_found"),
    [
        ({"action": "grant.revoked"}, True),
        ({"action": "user.deactivated"}, False),
        ({"actor": "ada"}, True),
        ({"actor": "bob"}, False),
        ({"since": "2026-05-04", "until": "2026-05-04"}, True),
        ({"since": "2026-05-05"}, False),
        ({"until": "2026-05-03"}, False),
        ({"since": "not a day", "actor": "9999", "page": "x"}, True),
    ],
)
def test_is_filtered(client_of: ClientOf, ada: User, bob: User, wanted: dict[str, str], is_found: bool) -> None:
    # 00:30 in Berlin on 4 May is 3 May in UTC: days are the organization's.
    at = datetime.fromisoformat("2026-05-04T00:30:00+02:00")
    record(organization=ada.organization, actor=ada, action="grant.revoked", target=bob, now=at)
    record(organization=ada.organization, actor=None, action="user.deactivated", target=bob, now=at - timedelta(30))
    people = {"ada": str(ada.pk), "bob": str(bob.pk)}

    answer = client_of(ada).get(
        AUDIT, wanted | ({"actor": people[wanted["actor"]]} if wanted.get("actor") in people else {})
    )

    found = [each.event.action for each in answer.context["events"]]
    assert ("grant.revoked" in found) == is_found


@pytest.mark.parametrize("count", [3, 45])
def test_asks_the_same_number_of_queries_for_many_events(
    client_of: ClientOf, ada: User, now: datetime, count: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(count):
        person = User.objects.create_user(f"p{number}@demo.example", organization=ada.organization)
        record(organization=ada.organization, actor=person, action="user.activated", target=person, now=now)
    client = client_of(ada)

    with django_assert_num_queries(9):
        client.get(AUDIT)
