"""An address on the do-not-contact list …"""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, User
from sequences.models import Candidate, Enrollment, Suppression
from tests.mailconnect.owning import connected
from tests.sequences.making import enrolled, sequence_of

pytestmark = pytest.mark.django_db
MONDAY = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)
ClientOf = Callable[[User], Client]


@pytest.fixture
def enrollment(alice: User) -> Enrollment:
    (enrollment,) = enrolled(sequence_of(alice, connected(alice, MONDAY)))
    Candidate.objects.update(email="Zoe@Oak.example")
    return enrollment


def add(client: Client, email: str) -> str:
    return client.post(reverse("sequences:suppressions"), {"email": email}, follow=True).content.decode()


def test_stops_what_was_going_to_it_in_any_case(enrollment: Enrollment, bob: User, client_of: ClientOf) -> None:
    page = add(client_of(bob), "zoe@OAK.example")

    enrollment.refresh_from_db()
    assert (enrollment.state, enrollment.reason) == (Enrollment.State.STOPPED, "suppressed")
    assert "Nothing more is sent to zoe@oak.example. 1 enrollment stopped." in page
    event = AuditEvent.objects.get(action="suppression.added")
    assert "@" not in str(event.details)


def test_is_there_once(enrollment: Enrollment, bob: User, client_of: ClientOf) -> None:
    for email in ("zoe@oak.example", "ZOE@oak.example"):
        add(client_of(bob), email)

    assert Suppression.objects.count() == 1


def test_does_not_concern_other_organizations(enrollment: Enrollment, mallory: User, client_of: ClientOf) -> None:
    page = add(client_of(mallory), "zoe@oak.example")

    enrollment.refresh_from_db()
    assert enrollment.state == Enrollment.State.ACTIVE
    assert "stopped" not in page


@pytest.mark.parametrize("email", ["", "zoe", "zoe@", "a@b@c.example"])
def test_must_be_an_address(email: str, bob: User, client_of: ClientOf) -> None:
    add(client_of(bob), email)

    assert not Suppression.objects.exists()


def test_is_taken_off_by_admins_alone(
    alice: User, ada: User, mallory: User, enrollment: Enrollment, client_of: ClientOf
) -> None:
    add(client_of(alice), "zoe@oak.example")
    address = reverse("sequences:remove_suppression", args=[Suppression.objects.get().pk])

    answers = {user.name: client_of(user).post(address).status_code for user in (alice, mallory, ada)}

    assert answers == {"Alice Archer": 403, "Mallory Other": 404, "Ada Admin": 302}
    assert not Suppression.objects.exists()
    enrollment.refresh_from_db()
    assert enrollment.state == Enrollment.State.STOPPED


def test_is_found_again(alice: User, client_of: ClientOf) -> None:
    client = client_of(alice)
    for email in ("zoe@oak.example", "ann@ash.example"):
        add(client, email)

    page = client.get(reverse("sequences:suppressions"), {"q": "OAK"}).content.decode()

    assert "zoe@oak.example" in page
    assert "ann@ash.example" not in page
