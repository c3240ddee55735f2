"""Erasing a candidate takes what is personal, and leaves the proof of who was allowed to write."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, User
from mailconnect import receipts as signing
from sequences import receipts
from sequences.enrolling import Outcome, enroll
from sequences.erasing import EraseRefused, erase
from sequences.models import Candidate, Enrollment, Message, Sequence, Step
from tests.mailconnect.owning import connected

NOW = datetime(2026, 3, 4, 10, tzinfo=UTC)


@pytest.fixture
def sequence(alice: User) -> Sequence:
    made = Sequence.objects.create(
        organization=alice.organization, owner=alice, name="Outreach", connection=connected(alice, NOW)
    )
    Step.objects.create(sequence=made, position=1, subject="Hello", body="x")
    Step.objects.create(sequence=made, position=2, subject="Hello again", body="x")
    return made


@pytest.fixture
def carol(sequence: Sequence, alice: User) -> Candidate:
    candidate = Candidate.objects.create(
        organization=alice.organization,
        email="carol@client.example",
        first_name="Carol",
        last_name="Chen",
        fields={"github": "carol-c"},
    )
    Enrollment.objects.create(sequence=sequence, candidate=candidate, enrolled_by=alice, due_at=NOW)
    return candidate


def email(candidate: Candidate, sequence: Sequence, state: str, position: int = 1) -> Message:
    """An email to the candidate; with its receipt, if it left."""
    message = Message(
        enrollment=candidate.enrollments.get(),
        step=sequence.steps.get(position=position),
        sequence=sequence,
        connection=sequence.connection,
        to_address=candidate.email,
        to_name="Carol Chen",
        subject="Hello Carol",
        body_html="<p>Dear Carol</p>",
        body_hash=signing.body_hash("Hello Carol", "<p>Dear Carol</p>"),
        state=state,
        check_at=NOW,
    )
    if state in Message.LEFT:
        message.permitted_at, message.permitted_to = NOW, sequence.owner
        message.receipt_key, message.receipt = signing.sign(receipts.statement_of(message))
    message.save()
    return message


def everything_about(candidate: Candidate) -> str:
    rows = [
        *Candidate.objects.filter(pk=candidate.pk).values(),
        *Message.objects.values("to_name", "subject", "body_html"),
    ]
    return str([*rows, *Enrollment.objects.values(), *AuditEvent.objects.values()]).lower()


def test_leaves_nothing_personal_but_the_proof(carol: Candidate, sequence: Sequence, ada: User) -> None:
    sent, planned = email(carol, sequence, "sent"), email(carol, sequence, "planned", position=2)

    erase(candidate=carol, actor=ada, now=NOW)

    assert "carol" not in everything_about(carol)
    assert Enrollment.objects.get().reason == "erased"
    assert AuditEvent.objects.get(action="candidate.erased").actor == ada
    sent.refresh_from_db()
    planned.refresh_from_db()
    assert (sent.to_address, planned.to_address) == ("carol@client.example", "")
    assert list(receipts.verify_all()) == []


def test_still_finds_what_was_forged(carol: Candidate, sequence: Sequence, ada: User) -> None:
    email(carol, sequence, "sent")
    erase(candidate=carol, actor=ada, now=NOW)

    Message.objects.update(to_address="dora@client.example")

    assert [problems for _, problems in receipts.verify_all()] == [["signature"]]


@pytest.mark.parametrize("state", ["drafting", "drafted", "sending", "accepted"])
def test_waits_for_what_is_on_its_way(carol: Candidate, sequence: Sequence, ada: User, state: str) -> None:
    email(carol, sequence, state)

    with pytest.raises(EraseRefused, match="Try again"):
        erase(candidate=carol, actor=ada, now=NOW)

    carol.refresh_from_db()
    assert (carol.first_name, carol.enrollments.get().state) == ("Carol", "active")


def test_enrolls_them_nowhere_and_shows_them_in_no_list(
    carol: Candidate, sequence: Sequence, ada: User, client_of: Callable[[User], Client]
) -> None:
    erase(candidate=carol, actor=ada, now=NOW)
    client = client_of(ada)

    assert enroll(sequence=sequence, candidate_ids=[carol.pk], actor=ada, now=NOW) == Outcome()
    assert client.get(reverse("sequences:candidates")).context["page"].candidates == []
    assert client.get(reverse("sequences:edit_candidate", args=[carol.pk])).status_code == 404
    assert "was erased" in client.get(reverse("sequences:candidate", args=[carol.pk])).content.decode()


@pytest.mark.parametrize(("who", "status"), [("ada", 200), ("alice", 403), ("mallory", 404)])
def test_is_for_admins(
    request: pytest.FixtureRequest,
    carol: Candidate,
    client_of: Callable[[User], Client],
    who: str,
    status: int,
) -> None:
    client = client_of(request.getfixturevalue(who))
    address = reverse("sequences:erase_candidate", args=[carol.pk])

    asked, done = client.get(address), client.post(address, follow=True)

    assert (asked.status_code, done.status_code) == (status, status)
    assert Candidate.objects.filter(erased_at=None).exists() is (status != 200)


def test_lets_the_address_come_again(carol: Candidate, ada: User) -> None:
    erase(candidate=carol, actor=ada, now=NOW)

    Candidate.objects.create(organization=carol.organization, email="carol@client.example")

    assert Candidate.objects.count() == 2
