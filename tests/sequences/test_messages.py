"""An email …"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, User
from sequences import activating, deciding
from sequences.models import Enrollment, Message, Sequence
from tests.mailconnect.owning import connected
from tests.sequences.making import enrolled, message_of, sequence_of

pytestmark = pytest.mark.django_db
MONDAY = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)
ClientOf = Callable[[User], Client]


@pytest.fixture
def sequence(alice: User) -> Sequence:
    return sequence_of(alice, connected(alice, MONDAY), steps=2)


def unsure(sequence: Sequence, state: str, reason: str) -> Message:
    """An email that ended like that, and whose candidate waits for a person."""
    (enrollment,) = enrolled(sequence)
    activating.start(sequence=sequence, actor=sequence.owner, now=MONDAY)
    Enrollment.objects.update(state=Enrollment.State.HELD, reason=reason, due_at=None)
    enrollment.refresh_from_db()
    return message_of(enrollment, sequence.steps.get(position=1), state, MONDAY, sending_at=MONDAY, reason=reason)


@pytest.fixture
def unknown(sequence: Sequence) -> Message:
    return unsure(sequence, "unknown", "outcome_unknown")


def decide(client: Client, message: Message, verdict: str) -> str:
    address = reverse("sequences:decide", args=[message.pk])
    return client.post(address, {"verdict": verdict}, follow=True).content.decode()


def test_whose_outcome_is_unknown_asks_a_person(unknown: Message, alice: User, client_of: ClientOf) -> None:
    page = client_of(alice).get(reverse("sequences:message", args=[unknown.pk])).content.decode()

    assert "Was it sent?" in page
    assert "Microsoft did not say whether the last email left" in page


def test_that_was_sent_lets_the_candidate_go_on_with_the_next_step(
    unknown: Message, alice: User, client_of: ClientOf
) -> None:
    page = decide(client_of(alice), unknown, "sent")

    unknown.refresh_from_db()
    enrollment = unknown.enrollment
    enrollment.refresh_from_db()
    assert (unknown.state, unknown.sent_at) == (Message.State.SENT, MONDAY)
    assert (enrollment.state, enrollment.next_position, enrollment.last_sent_at) == ("active", 2, MONDAY)
    assert enrollment.due_at is not None
    assert "goes on with the next step" in page
    assert AuditEvent.objects.get(action="email.decided").details == {"verdict": "found_by_hand"}


def test_that_was_not_sent_begins_anew(unknown: Message, alice: User, client_of: ClientOf) -> None:
    decide(client_of(alice), unknown, "not_sent")

    unknown.refresh_from_db()
    enrollment = unknown.enrollment
    enrollment.refresh_from_db()
    assert (unknown.state, unknown.permitted_at, unknown.receipt) == (Message.State.CANCELLED, None, "")
    assert (enrollment.state, enrollment.next_position) == ("active", 1)
    assert enrollment.due_at is not None


def test_that_a_restored_database_had_only_drafted_is_decided_too(
    sequence: Sequence, alice: User, client_of: ClientOf
) -> None:
    failed = unsure(sequence, "failed", "outcome_unknown")
    client = client_of(alice)

    assert "Was it sent?" in client.get(reverse("sequences:message", args=[failed.pk])).content.decode()
    decide(client, failed, "sent")

    failed.refresh_from_db()
    failed.enrollment.refresh_from_db()
    assert (failed.state, failed.reason) == (Message.State.CANCELLED, "found_by_hand")
    assert (failed.enrollment.state, failed.enrollment.next_position) == ("active", 2)


def test_is_decided_once(unknown: Message, sequence: Sequence) -> None:
    deciding.was_sent(message=unknown, actor=sequence.owner, now=MONDAY)

    with pytest.raises(deciding.AlreadyDecided):
        deciding.was_not_sent(message=unknown, actor=sequence.owner, now=MONDAY)

    unknown.refresh_from_db()
    assert unknown.state == Message.State.SENT


def test_that_left_ends_the_last_step_of_its_candidate(unknown: Message, sequence: Sequence) -> None:
    sequence.steps.filter(position=2).delete()

    deciding.was_sent(message=unknown, actor=sequence.owner, now=MONDAY)

    unknown.enrollment.refresh_from_db()
    assert (unknown.enrollment.state, unknown.enrollment.due_at) == (Enrollment.State.FINISHED, None)


def test_is_not_for_others_to_decide(unknown: Message, bob: User, mallory: User, client_of: ClientOf) -> None:
    for name in ("decide", "try_again"):
        address = reverse(f"sequences:{name}", args=[unknown.pk])
        assert client_of(bob).post(address).status_code == 403
        assert client_of(mallory).post(address).status_code == 404

    unknown.refresh_from_db()
    assert unknown.state == Message.State.UNKNOWN


def test_that_failed_can_be_tried_again(sequence: Sequence, alice: User, client_of: ClientOf) -> None:
    failed = unsure(sequence, "failed", "message_failed")
    client = client_of(alice)

    before = client.get(reverse("sequences:message", args=[failed.pk])).content.decode()
    page = client.post(reverse("sequences:try_again", args=[failed.pk]), follow=True).content.decode()
    again = client.post(reverse("sequences:try_again", args=[failed.pk]), follow=True).content.decode()

    failed.enrollment.refresh_from_db()
    assert "Try again" in before
    assert "It will be tried again" in page
    assert "no longer waits for a decision" in again
    assert failed.enrollment.state == Enrollment.State.ACTIVE


def test_of_a_paused_sequence_waits_for_it_after_the_decision(
    unknown: Message,
    sequence: Sequence,
    django_capture_on_commit_callbacks: Callable[..., AbstractContextManager[object]],
) -> None:
    activating.pause(sequence=sequence, actor=sequence.owner, now=MONDAY)

    with django_capture_on_commit_callbacks(execute=True):
        deciding.was_not_sent(message=unknown, actor=sequence.owner, now=MONDAY + timedelta(hours=1))

    mailbox = unknown.connection
    mailbox.refresh_from_db()
    unknown.enrollment.refresh_from_db()
    assert unknown.enrollment.state == Enrollment.State.ACTIVE
    assert mailbox.due_at is None


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("no_permission", "There is no permission to send from this mailbox."),
        ("recipients_changed", "recipients were changed in the mailbox"),
        ("ErrorSomethingNew", "Microsoft’s reason: ErrorSomethingNew."),
    ],
)
def test_says_why_it_ended(reason: str, told: str, sequence: Sequence, alice: User, client_of: ClientOf) -> None:
    (enrollment,) = enrolled(sequence)
    message_of(enrollment, sequence.steps.get(position=1), "refused", MONDAY, reason=reason)

    page = client_of(alice).get(reverse("sequences:emails", args=[sequence.pk])).content.decode()

    assert told in page
