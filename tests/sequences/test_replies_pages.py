"""Pages of what came back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from sequences.models import Enrollment, IncomingMail, Message, Sequence, Suppression
from sequences.replies.looking import forget_old_texts, take_in
from tests.mailconnect.owning import connected
from tests.sequences.already_sent import running_sequence, sent
from tests.sequences.letters import RECEIVED_AT, letter

REPLIES = reverse("sequences:replies")
SENT_AT = RECEIVED_AT - timedelta(hours=2)
ClientOf = Callable[[User], Client]


@pytest.fixture
def sequence(alice: User, bob: User) -> Sequence:
    """Bob's, sent from Alice's mailbox."""
    return running_sequence(connected(alice, SENT_AT), SENT_AT, owner=bob)


def answer(
    sequence: Sequence, email: str = "cleo@candidate.example", text: str = "Sounds good.", **headers: str
) -> Message:
    message = sent(sequence, email, at=SENT_AT, first_name="Cleo")
    assert sequence.connection
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    incoming = replace(letter(text=text, From=email), internet_message_id=f"<{email}>", headers=named)
    assert take_in(incoming, connection=sequence.connection, now=RECEIVED_AT)
    return message


def test_shows_what_came_back_and_why_it_is_taken_for_that(client_of: ClientOf, bob: User, sequence: Sequence) -> None:
    answer(sequence)
    answer(sequence, "away@candidate.example", "Back on 3 December.", Auto_Submitted="auto-replied")

    page = client_of(bob).get(REPLIES).content.decode()

    assert "Sounds good." in page
    assert "Because the header Auto-Submitted is auto-replied." in page
    assert "4 Dec 2026, 09:00 CET" in page


@pytest.mark.parametrize(
    ("person", "sees"), [("alice", True), ("bob", True), ("ada", True), ("carol", False), ("mallory", False)]
)
def test_shows_and_lets_correct_only_those_whom_it_concerns(
    request: pytest.FixtureRequest, client_of: ClientOf, sequence: Sequence, person: str, sees: bool
) -> None:
    message = answer(sequence)
    client = client_of(request.getfixturevalue(person))
    mail = IncomingMail.objects.get()

    listed = client.get(REPLIES).content.decode()
    corrected = client.post(reverse("sequences:correct_reply", args=[mail.pk]), {"kind": "other"})

    assert ("Sounds good." in listed) is sees
    assert corrected.status_code == (302 if sees else 404)
    mail.refresh_from_db()
    assert mail.kind == ("other" if sees else "reply")
    assert Enrollment.objects.get(pk=message.enrollment_id).state == ("active" if sees else "stopped")


def test_takes_back_an_opt_out_with_one_click(client_of: ClientOf, bob: User, sequence: Sequence) -> None:
    answer(sequence, text="unsubscribe")
    client = client_of(bob)
    assert "Not an opt-out" in client.get(REPLIES).content.decode()

    address = reverse("sequences:correct_reply", args=[IncomingMail.objects.get().pk])
    page = client.post(address, {"kind": "reply", "next": REPLIES + "?kind=reply"}, follow=True)

    assert page.redirect_chain == [(REPLIES + "?kind=reply", 302)]
    assert "Bob Baker decided so." in page.content.decode()
    assert not Suppression.objects.exists()


def test_sends_nobody_to_another_site_after_a_correction(client_of: ClientOf, bob: User, sequence: Sequence) -> None:
    answer(sequence)
    address = reverse("sequences:correct_reply", args=[IncomingMail.objects.get().pk])

    response = client_of(bob).post(address, {"kind": "other", "next": "https://evil.example/"})

    assert response["Location"] == REPLIES


@pytest.mark.parametrize("kind", ["bounce", "nonsense", ""])
def test_offers_no_other_corrections(client_of: ClientOf, bob: User, sequence: Sequence, kind: str) -> None:
    answer(sequence)
    address = reverse("sequences:correct_reply", args=[IncomingMail.objects.get().pk])

    assert client_of(bob).post(address, {"kind": kind}).status_code == 404


def test_escapes_what_strangers_write(client_of: ClientOf, bob: User, sequence: Sequence) -> None:
    answer(sequence, text="<script>alert(1)</script>")

    assert "<script>alert" not in client_of(bob).get(REPLIES).content.decode()


def test_filters_by_kind(client_of: ClientOf, bob: User, sequence: Sequence) -> None:
    answer(sequence)

    assert "Sounds good." not in client_of(bob).get(REPLIES, {"kind": "bounce"}).content.decode()
    assert "Sounds good." in client_of(bob).get(REPLIES, {"kind": "reply"}).content.decode()


def test_shows_it_on_the_pages_of_the_sequence_and_the_email(
    client_of: ClientOf, bob: User, carol: User, sequence: Sequence
) -> None:
    message = answer(sequence)
    addresses = [
        reverse("sequences:sequence_replies", args=[sequence.pk]),
        reverse("sequences:message", args=[message.pk]),
    ]

    for address in addresses:
        assert "Sounds good." in client_of(bob).get(address).content.decode()
        assert "Sounds good." not in client_of(carol).get(address).content.decode()


def test_asks_as_many_queries_for_many_rows_as_for_one(
    client_of: ClientOf, bob: User, sequence: Sequence, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = client_of(bob)
    answer(sequence)
    with django_assert_num_queries(6):
        client.get(REPLIES)
    for number in range(7):
        answer(sequence, f"cleo{number}@candidate.example")

    with django_assert_num_queries(6):
        client.get(REPLIES)


def test_forgets_texts_after_180_days_and_keeps_what_followed(sequence: Sequence) -> None:
    answer(sequence)

    assert forget_old_texts(RECEIVED_AT + timedelta(days=180)) == 0
    assert forget_old_texts(RECEIVED_AT + timedelta(days=180, seconds=1)) == 1

    mail = IncomingMail.objects.get()
    assert (mail.from_address, mail.subject, mail.preview, mail.kind) == ("", "", "", "reply")
    assert mail.received_at == datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
