"""Enrolling takes whom it may, plans their first email, and says what became of the others."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEvent, Organization, User
from mailconnect.models import MailConnection
from sequences import enrolling
from sequences.enrolling import EnrollRefused, Outcome, enroll, unenroll
from sequences.models import Candidate, Enrollment, Message, Sequence, Step, Suppression
from tests.at_once import at_once
from tests.mailconnect.owning import connected

NOW = datetime(2026, 3, 4, 10, tzinfo=UTC)  # a Wednesday, 11:00 in Berlin


@pytest.fixture
def mailbox(alice: User) -> MailConnection:
    return connected(alice, NOW)


@pytest.fixture
def sequence(alice: User, mailbox: MailConnection) -> Sequence:
    made = Sequence.objects.create(
        organization=alice.organization, owner=alice, name="Outreach", connection=mailbox, state=Sequence.State.ACTIVE
    )
    Step.objects.create(sequence=made, position=1, subject="Hello", body="<p>Hello</p>")
    Step.objects.create(sequence=made, position=2, kind=Step.Kind.REPLY, delay=2, body="<p>Again</p>")
    return made


def candidate(user: User, name: str, zone: str = "") -> Candidate:
    return Candidate.objects.create(organization=user.organization, email=f"{name}@client.example", time_zone=zone)


def take(sequence: Sequence, *candidates: Candidate, now: datetime = NOW) -> Outcome:
    return enroll(sequence=sequence, candidate_ids=[each.pk for each in candidates], actor=sequence.owner, now=now)


def stopped(sequence: Sequence, whom: Candidate, reason: str, *, position: int = 2) -> Enrollment:
    return Enrollment.objects.create(
        sequence=sequence,
        candidate=whom,
        enrolled_by=sequence.owner,
        state=Enrollment.State.STOPPED,
        reason=reason,
        next_position=position,
    )


@pytest.mark.django_db(transaction=True)
def test_plans_the_first_email_in_each_ones_time_zone(sequence: Sequence, alice: User) -> None:
    people = [
        candidate(alice, "here"),
        candidate(alice, "tokyo", "Asia/Tokyo"),
        candidate(alice, "ny", "America/New_York"),
    ]

    outcome = take(sequence, *people)

    assert outcome == Outcome(enrolled=3)
    due = dict(Enrollment.objects.values_list("candidate__email", "due_at"))
    assert due == {
        "here@client.example": NOW,
        "tokyo@client.example": datetime(2026, 3, 5, 0, tzinfo=UTC),
        "ny@client.example": datetime(2026, 3, 4, 14, tzinfo=UTC),
    }
    assert set(Enrollment.objects.values_list("connection", "next_position", "state", "created_at")) == {
        (sequence.connection_id, 1, "active", NOW)
    }
    assert MailConnection.objects.get().due_at == NOW


@pytest.mark.django_db(transaction=True)
def test_leaves_the_time_to_the_start_of_a_draft(sequence: Sequence, alice: User) -> None:
    Sequence.objects.update(state=Sequence.State.DRAFT)

    outcome = take(sequence, candidate(alice, "carol"))

    assert outcome.enrolled == 1
    assert Enrollment.objects.get().due_at is None
    assert MailConnection.objects.get().due_at is None


def test_plans_at_once_while_the_sequence_is_starting(sequence: Sequence, alice: User) -> None:
    Sequence.objects.update(state=Sequence.State.DRAFT, starting_at=NOW)

    take(sequence, candidate(alice, "carol"))

    assert Enrollment.objects.get().due_at == NOW


def test_enrolls_nobody_twice(sequence: Sequence, alice: User) -> None:
    carol = candidate(alice, "carol")

    outcomes = [take(sequence, carol, carol), take(sequence, carol)]

    assert outcomes == [Outcome(enrolled=1), Outcome(already=1)]
    assert Enrollment.objects.count() == 1


@pytest.mark.parametrize("reason", ["opt_out", "bounced", "by_hand"])
def test_leaves_out_whom_nobody_may_write_to(sequence: Sequence, alice: User, reason: str) -> None:
    Suppression.objects.create(organization=alice.organization, email="Carol@CLIENT.example", reason=reason)

    assert take(sequence, candidate(alice, "carol")) == Outcome(suppressed=1)
    assert not Enrollment.objects.exists()


def test_minds_the_suppressions_of_its_own_organization_only(sequence: Sequence, alice: User, mallory: User) -> None:
    Suppression.objects.create(organization=mallory.organization, email="carol@client.example")

    assert take(sequence, candidate(alice, "carol")) == Outcome(enrolled=1)


def test_passes_over_strangers(sequence: Sequence, mallory: User) -> None:
    assert take(sequence, candidate(mallory, "carol")) == Outcome()
    assert not Enrollment.objects.exists()


def test_does_not_write_from_a_mailbox_to_itself(sequence: Sequence, alice: User) -> None:
    oneself = Candidate.objects.create(organization=alice.organization, email="Alice@demo.example")

    assert take(sequence, oneself) == Outcome(own_mailbox=1)


def test_counts_colleagues_and_those_active_elsewhere(sequence: Sequence, alice: User, bob: User) -> None:
    other = Sequence.objects.create(organization=alice.organization, owner=bob, name="Other")
    carol, dave = candidate(alice, "carol"), candidate(alice, "dave")
    Enrollment.objects.create(sequence=other, candidate=carol, enrolled_by=bob)
    stopped(other, dave, "replied")
    colleague = Candidate.objects.create(organization=alice.organization, email=bob.email)

    assert take(sequence, carol, dave, colleague) == Outcome(enrolled=3, elsewhere=1, colleagues=1)


@pytest.mark.parametrize(
    ("last_sent", "due"),
    [
        (NOW - timedelta(days=1), datetime(2026, 3, 5, 10, tzinfo=UTC)),  # the step's two business days after it
        (NOW - timedelta(days=30), NOW),  # long over
    ],
)
def test_goes_on_where_a_colleague_had_taken_the_candidate_out(
    sequence: Sequence, alice: User, last_sent: datetime, due: datetime
) -> None:
    carol = candidate(alice, "carol")
    take(sequence, carol)
    unenroll(enrollment=Enrollment.objects.get(), actor=alice, now=NOW)
    Enrollment.objects.update(next_position=2, last_sent_at=last_sent)

    outcome = take(sequence, carol)

    enrollment = Enrollment.objects.get()
    assert outcome == Outcome(continued=1)
    assert (enrollment.state, enrollment.reason, enrollment.next_position) == ("active", "", 2)
    assert enrollment.due_at == due


@pytest.mark.parametrize("state", ["active", "held"])
def test_takes_a_candidate_out(sequence: Sequence, alice: User, state: str) -> None:
    take(sequence, candidate(alice, "carol"))
    Enrollment.objects.update(state=state, reason="missing_value" if state == "held" else "", detail="company")
    enrollment = Enrollment.objects.get()

    taken_out = [unenroll(enrollment=enrollment, actor=alice, now=NOW) for _ in range(2)]

    enrollment.refresh_from_db()
    assert taken_out == [True, False]
    assert (enrollment.state, enrollment.reason, enrollment.detail) == ("stopped", "unenrolled", "")
    assert enrollment.due_at is None
    assert AuditEvent.objects.get(action="candidate.unenrolled").object_id == str(enrollment.pk)


@pytest.mark.parametrize("state", ["finished", "stopped"])
def test_leaves_what_has_ended_as_it_ended(sequence: Sequence, alice: User, state: str) -> None:
    enrollment = stopped(sequence, candidate(alice, "carol"), "replied")
    Enrollment.objects.update(state=state)

    assert unenroll(enrollment=enrollment, actor=alice, now=NOW) is False
    assert Enrollment.objects.get().reason == "replied"


@pytest.mark.parametrize("reason", ["replied", "colleague_replied", "bounced", "suppressed", "recipient_refused"])
def test_does_not_begin_again_with_who_has_come_to_an_end(sequence: Sequence, alice: User, reason: str) -> None:
    stopped(sequence, candidate(alice, "carol"), reason)

    assert take(sequence, Candidate.objects.get()) == Outcome(already=1)
    assert Enrollment.objects.get().state == "stopped"


def test_does_not_go_on_after_the_last_step(sequence: Sequence, alice: User) -> None:
    stopped(sequence, candidate(alice, "carol"), "unenrolled", position=3)

    assert take(sequence, Candidate.objects.get()) == Outcome(already=1)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("drafting", Outcome(already=1)),
        ("drafted", Outcome(already=1)),
        ("planned", Outcome(continued=1)),
        ("cancelled", Outcome(continued=1)),
    ],
)
def test_does_not_go_on_while_an_email_is_under_way(
    sequence: Sequence, alice: User, mailbox: MailConnection, state: str, outcome: Outcome
) -> None:
    enrollment = stopped(sequence, candidate(alice, "carol"), "unenrolled")
    Message.objects.create(
        enrollment=enrollment,
        step=sequence.steps.get(position=2),
        sequence=sequence,
        connection=mailbox,
        state=state,
        check_at=NOW,
    )

    assert take(sequence, enrollment.candidate) == outcome


def test_does_not_go_on_with_who_is_suppressed_meanwhile(sequence: Sequence, alice: User) -> None:
    stopped(sequence, candidate(alice, "carol"), "unenrolled")
    Suppression.objects.create(organization=alice.organization, email="carol@client.example")

    assert take(sequence, Candidate.objects.get()) == Outcome(suppressed=1)


def test_holds_whom_no_window_lets_through(sequence: Sequence, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    all_days = {date(year, 1, 1) + timedelta(days=day) for year in (2026, 2027) for day in range(366)}
    monkeypatch.setattr("holidays.country_holidays", lambda *args, **kwargs: all_days)
    Organization.objects.update(holiday_country="VU")

    outcome = take(sequence, candidate(alice, "carol"))

    enrollment = Enrollment.objects.get()
    assert outcome == Outcome(enrolled=1, held=1)
    assert (enrollment.state, enrollment.reason, enrollment.due_at) == ("held", "window_never_open", None)


def test_takes_the_first_steps_own_mailbox(sequence: Sequence, alice: User, bob: User) -> None:
    bobs = connected(bob, NOW)
    Step.objects.filter(position=1).update(connection=bobs)

    take(sequence, candidate(alice, "carol"))

    assert Enrollment.objects.get().connection == bobs


def test_can_enroll_before_there_are_steps_or_a_mailbox(alice: User) -> None:
    empty = Sequence.objects.create(organization=alice.organization, owner=alice, name="Empty")

    assert take(empty, candidate(alice, "carol")) == Outcome(enrolled=1)
    assert Enrollment.objects.get().connection is None


def test_refuses_an_archived_sequence(sequence: Sequence, alice: User) -> None:
    Sequence.objects.update(state=Sequence.State.ARCHIVED)

    with pytest.raises(EnrollRefused, match="archived"):
        take(sequence, candidate(alice, "carol"))


def test_writes_down_who_enrolled_how_many(sequence: Sequence, alice: User) -> None:
    take(sequence, candidate(alice, "carol"), candidate(alice, "dave"))

    event = AuditEvent.objects.get(action="candidates.enrolled")
    assert (event.actor, event.object_id, event.details) == (alice, str(sequence.pk), {"enrolled": 2})


def test_needs_no_more_queries_for_more_candidates(sequence: Sequence, alice: User) -> None:
    few = [candidate(alice, f"few{number}") for number in range(2)]
    many = [candidate(alice, f"many{number}") for number in range(60)]

    with CaptureQueriesContext(connection) as for_few:
        take(sequence, *few)
    with CaptureQueriesContext(connection) as for_many:
        take(sequence, *many)

    assert len(for_many) == len(for_few)


def test_takes_more_than_a_batch(sequence: Sequence, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enrolling, "BATCH", 2)

    assert take(sequence, *[candidate(alice, f"p{number}") for number in range(5)]) == Outcome(enrolled=5)


@pytest.mark.django_db(transaction=True)
def test_enrolls_once_when_asked_twice_at_the_same_time(sequence: Sequence, alice: User) -> None:
    people = [candidate(alice, f"p{number}") for number in range(30)]
    outcomes: list[Outcome] = []

    at_once(*[lambda: outcomes.append(take(sequence, *people))] * 3)

    assert sum(outcomes, Outcome()) == Outcome(enrolled=30, already=60)
    assert Enrollment.objects.count() == 30


@pytest.mark.django_db(transaction=True)
def test_never_delays_a_bell_that_rings_sooner(sequence: Sequence, alice: User, mailbox: MailConnection) -> None:
    sooner = NOW - timedelta(hours=1)
    MailConnection.objects.filter(pk=mailbox.pk).update(due_at=sooner)

    take(sequence, candidate(alice, "carol"))

    assert MailConnection.objects.get().due_at == sooner
