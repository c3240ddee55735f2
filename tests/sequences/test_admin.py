"""Sequences in the admin …"""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import User
from sequences import models
from sequences.models import Message
from tests.mailconnect.owning import connected
from tests.sequences.making import enrolled, message_of, sequence_of

pytestmark = pytest.mark.django_db
MONDAY = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)
ClientOf = Callable[[User], Client]
SHOWN = ["sequence", "step", "candidate", "enrollment", "message", "suppression", "candidateimport"]


@pytest.fixture
def message(alice: User) -> Message:
    sequence = sequence_of(alice, connected(alice, MONDAY), name="Engineers at Demo")
    (enrollment,) = enrolled(sequence)
    return message_of(enrollment, sequence.steps.get(), "sent", MONDAY, body_html="a private word")


def staff(user: User, *, superuser: bool) -> User:
    """Of the site, with every permission on these models."""
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=superuser)
    user.refresh_from_db()
    if not superuser:
        user.user_permissions.set(Permission.objects.filter(content_type__app_label="sequences"))
    return user


def test_are_all_there() -> None:
    registered = {model.__name__ for model in admin.site._registry if model._meta.app_label == "sequences"}

    assert registered >= {"Sequence", "Step", "Candidate", "Enrollment", "Message", "Suppression", "CandidateImport"}


@pytest.mark.parametrize("name", SHOWN)
def test_can_be_searched_by_staff(name: str, message: Message, ada: User, client_of: ClientOf) -> None:
    client = client_of(staff(ada, superuser=True))

    page = client.get(reverse(f"admin:sequences_{name}_changelist"), {"q": "Engineers"})

    assert page.status_code == 200


@pytest.mark.parametrize("superuser", [True, False])
def test_have_no_way_to_add_change_or_delete(superuser: bool, message: Message, ada: User, client_of: ClientOf) -> None:
    client = client_of(staff(ada, superuser=superuser))
    change = reverse("admin:sequences_message_change", args=[message.pk])

    shown = client.get(change)
    answers = [
        client.post(change, {"state": "planned"}).status_code,
        client.post(reverse("admin:sequences_message_delete", args=[message.pk]), {"post": "yes"}).status_code,
        client.post(reverse("admin:sequences_message_add"), {}).status_code,
    ]

    assert shown.status_code == 200
    assert "a private word" not in shown.content.decode()
    assert answers == [403, 403, 403]
    assert Message.objects.get().state == "sent"


def test_are_those_of_ones_own_organization_for_staff_who_are_no_superusers(
    message: Message, mallory: User, client_of: ClientOf
) -> None:
    client = client_of(staff(mallory, superuser=False))

    pages = [client.get(reverse(f"admin:sequences_{name}_changelist")) for name in SHOWN]
    foreign = client.get(reverse("admin:sequences_message_change", args=[message.pk]), follow=True)

    assert [page.status_code for page in pages] == [200] * len(SHOWN)
    assert all("Engineers at Demo" not in page.content.decode() for page in pages)
    assert message.to_address not in foreign.content.decode()


def test_are_not_for_members(message: Message, alice: User, client_of: ClientOf) -> None:
    page = client_of(alice).get(reverse("admin:sequences_message_changelist"))

    assert page.status_code in (302, 403)
    assert models.Message.objects.get().to_address not in page.content.decode()
