"""A sequence …"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, time, timedelta

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse
from django_q.models import OrmQ

from accounts import leaving
from accounts.models import AuditEvent, Notification, User
from mailconnect import ending, granting
from mailconnect.models import MailConnection
from sequences import activating, enrolling
from sequences.activating import ActivationRefused
from sequences.models import Enrollment, Message, Sequence
from tests.mailconnect.owning import connected, granted
from tests.sequences.making import add_step, candidates, enrolled, message_of, sequence_of

pytestmark = pytest.mark.django_db
Committing = Callable[..., AbstractContextManager[object]]
MONDAY = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)  # ten in Berlin


@pytest.fixture
def mailbox(alice: User) -> MailConnection:
    return connected(alice, MONDAY)


@pytest.fixture
def sequence(alice: User, mailbox: MailConnection) -> Sequence:
    return sequence_of(alice, mailbox, steps=2)


def start(sequence: Sequence, now: datetime = MONDAY) -> Sequence:
    started = activating.start(sequence=sequence, actor=sequence.owner, now=now)
    sequence.refresh_from_db()
    return started


def missing(sequence: Sequence) -> str:
    with pytest.raises(ActivationRefused) as refused:
        activating.start(sequence=sequence, actor=sequence.owner, now=MONDAY)
    sequence.refresh_from_db()
    assert sequence.state != Sequence.State.ACTIVE
    return str(refused.value)


def due(sequence: Sequence) -> list[datetime | None]:
    return list(sequence.enrollments.order_by("pk").values_list("due_at", flat=True))


def test_starts_with_everyone_planned_and_its_mailbox_woken(
    sequence: Sequence, mailbox: MailConnection, django_capture_on_commit_callbacks: Committing
) -> None:
    enrolled(sequence, 3, connection=None)

    with django_capture_on_commit_callbacks(execute=True):
        start(sequence)

    assert (sequence.state, sequence.activated_at, sequence.starting_at) == (Sequence.State.ACTIVE, MONDAY, None)
    assert due(sequence) == [MONDAY] * 3
    assert set(sequence.enrollments.values_list("connection", flat=True)) == {mailbox.pk}
    mailbox.refresh_from_db()
    assert mailbox.due_at == MONDAY
    assert AuditEvent.objects.get(action="sequence.activated").object_id == str(sequence.pk)


def test_starts_without_candidates(
    sequence: Sequence, mailbox: MailConnection, django_capture_on_commit_callbacks: Committing
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        start(sequence)

    mailbox.refresh_from_db()
    assert sequence.state == Sequence.State.ACTIVE
    assert mailbox.due_at is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"subject": ""}, "Step 1: There is no subject yet. Write one."),
        ({"body": " "}, "Step 1: There is no text yet. Write it."),
        ({"body": "{{ first_nam }}"}, "Step 1: Line 1: there is no token {{ first_nam }}. Did you mean"),
        ({"body": "{% if first_name %}Hi"}, "Step 1: At the end: {% endif %} is missing."),
        ({"kind": "reply"}, "Step 1 cannot be a reply"),
    ],
)
def test_does_not_start_with_a_broken_step(sequence: Sequence, change: dict[str, str], sentence: str) -> None:
    sequence.steps.filter(position=1).update(**change)

    assert sentence in missing(sequence)


def test_says_all_that_is_missing_at_once(alice: User) -> None:
    told = missing(sequence_of(alice, None, steps=0))

    assert "There are no steps yet." in told
    assert "There is no mailbox to send from." in told


def test_does_not_start_from_a_mailbox_that_needs_reconnecting(sequence: Sequence, mailbox: MailConnection) -> None:
    MailConnection.objects.update(state=MailConnection.State.RECONNECT, reason="access_revoked")

    assert "needs reconnecting" in missing(sequence)


def test_needs_a_permission_for_a_colleagues_mailbox(bob: User, mailbox: MailConnection) -> None:
    sequence = sequence_of(bob, mailbox)
    told = missing(sequence)

    granted(mailbox, bob)

    assert "There is no permission to send from this mailbox." in told
    assert "resume" not in told
    assert start(sequence).state == Sequence.State.ACTIVE


def test_needs_a_permission_for_the_mailbox_of_each_step(sequence: Sequence, bob: User) -> None:
    add_step(sequence, 3, kind="new_thread", subject="Hi", connection=connected(bob, MONDAY))

    assert "There is no permission" in missing(sequence)


def test_does_not_start_when_its_window_never_opens(sequence: Sequence, monkeypatch: pytest.MonkeyPatch) -> None:
    def every_day(country: str, years: int) -> list[date]:
        return [date(years, 1, 1) + timedelta(days) for days in range(366)]

    monkeypatch.setattr("holidays.country_holidays", every_day)
    sequence.organization.holiday_country = "TV"  # asked for in no other test: it is remembered
    sequence.organization.save()

    assert "does not open within a year" in missing(sequence)


def test_plans_everyone_in_their_own_time(sequence: Sequence) -> None:
    enrolled(sequence, time_zone="Asia/Tokyo")
    enrolled(sequence, time_zone="America/New_York")
    enrolled(sequence)

    start(sequence)

    # Ten in Berlin is 17:00 in Tokyo, where the window has just closed, and 4:00 in New York.
    assert due(sequence) == [
        datetime(2026, 5, 5, 0, tzinfo=UTC),
        datetime(2026, 5, 4, 13, tzinfo=UTC),
        MONDAY,
    ]


def test_pauses_and_goes_on_from_the_next_unsent_step(sequence: Sequence) -> None:
    first, second = enrolled(sequence, 2)
    start(sequence)
    sent_at = MONDAY + timedelta(hours=1)
    message_of(first, sequence.steps.get(position=1), "sent", sent_at)
    Enrollment.objects.filter(pk=first.pk).update(next_position=2, last_sent_at=sent_at, due_at=MONDAY + timedelta(1))

    activating.pause(sequence=sequence, actor=sequence.owner, now=MONDAY)
    sequence.refresh_from_db()
    paused = sequence.state
    later = datetime(2026, 5, 16, 20, tzinfo=UTC)  # a Saturday evening
    start(sequence, later)

    assert paused == Sequence.State.PAUSED
    assert due(sequence) == [datetime(2026, 5, 18, 7, tzinfo=UTC)] * 2  # Monday, nine in Berlin
    first.refresh_from_db()
    assert first.next_position == 2
    assert second.messages.count() == 0


def test_leaves_alone_what_is_held_stopped_finished_or_under_way(sequence: Sequence) -> None:
    step = sequence.steps.get(position=1)
    held, stopped, under_way, _ = enrolled(sequence, 4)
    Enrollment.objects.filter(pk=held.pk).update(state="held", reason="missing_value")
    Enrollment.objects.filter(pk=stopped.pk).update(state="stopped", reason="replied")
    message_of(under_way, step, Message.State.ACCEPTED, MONDAY)

    start(sequence)

    assert due(sequence) == [None, None, None, MONDAY]


def test_finishes_those_whose_next_step_is_gone(sequence: Sequence) -> None:
    (enrollment,) = enrolled(sequence, next_position=3, last_sent_at=MONDAY)

    start(sequence)

    enrollment.refresh_from_db()
    assert (enrollment.state, enrollment.due_at) == (Enrollment.State.FINISHED, None)


def test_plans_many_in_the_background_and_sends_nothing_before(sequence: Sequence) -> None:
    enrolled(sequence, activating.AT_ONCE + 1)

    started = start(sequence)

    assert started.state == Sequence.State.DRAFT
    assert started.starting_at == MONDAY
    assert due(sequence)[-2:] == [MONDAY, None]
    activating.plan_rest(sequence.pk)
    sequence.refresh_from_db()
    assert (sequence.state, sequence.starting_at) == (Sequence.State.ACTIVE, None)
    assert None not in due(sequence)


def test_does_not_start_any_more_once_it_was_paused_while_starting(sequence: Sequence) -> None:
    enrolled(sequence, activating.AT_ONCE + 1)
    start(sequence)

    activating.pause(sequence=sequence, actor=sequence.owner, now=MONDAY)
    activating.plan_rest(sequence.pk)

    sequence.refresh_from_db()
    assert (sequence.state, sequence.starting_at) == (Sequence.State.DRAFT, None)


def test_pauses_with_the_reason_when_the_permission_ends_while_it_is_starting(
    bob: User, mailbox: MailConnection
) -> None:
    sequence = sequence_of(bob, mailbox)
    grant = granted(mailbox, bob)
    enrolled(sequence, activating.AT_ONCE + 1)
    start(sequence)

    grant.archived_at, grant.archived_reason = MONDAY, "revoked"
    grant.save()
    activating.plan_rest(sequence.pk)

    sequence.refresh_from_db()
    assert (sequence.state, sequence.paused_reason) == (Sequence.State.PAUSED, "grant_revoked")
    assert "was revoked" in Notification.objects.get(user=bob, kind="sequence_paused").text


@pytest.mark.parametrize("how", ["revoke", "remove", "deactivate"])
def test_is_stopped_at_once_while_it_is_starting_and_its_owner_told_once(
    how: str, bob: User, ada: User, mailbox: MailConnection
) -> None:
    sequence = sequence_of(bob, mailbox)
    grant = granted(mailbox, bob)
    enrolled(sequence, activating.AT_ONCE + 1)
    start(sequence)
    foreseen = granting.foresee_revocation(grant, MONDAY)

    if how == "revoke":
        granting.revoke(grant=grant, actor=mailbox.owner, now=MONDAY)
    elif how == "remove":
        ending.remove(connection=mailbox, actor=mailbox.owner, now=MONDAY)
    else:
        leaving.deactivate(user=mailbox.owner, actor=ada, now=MONDAY)
    activating.plan_rest(sequence.pk)

    sequence.refresh_from_db()
    reason = {"revoke": "grant_revoked", "remove": "mailbox_removed", "deactivate": "owner_left"}[how]
    assert foreseen.sequences == [(sequence.pk, sequence.name)]
    assert (sequence.state, sequence.paused_reason, sequence.starting_at) == (Sequence.State.PAUSED, reason, None)
    assert Notification.objects.filter(user=bob, kind="sequence_paused").count() == 1


def test_is_picked_up_when_its_task_died(sequence: Sequence, now: datetime) -> None:
    fresh = sequence_of(sequence.owner, sequence.connection, starting_at=now)
    Sequence.objects.filter(pk=sequence.pk).update(starting_at=now - timedelta(minutes=3))

    activating.pick_up(now)

    assert [queued.task["args"] for queued in OrmQ.objects.all()] == [(sequence.pk,)]
    assert fresh.starting_at == now


def test_rings_again_where_a_bell_was_lost(sequence: Sequence, mailbox: MailConnection) -> None:
    enrolled(sequence)
    start(sequence)
    MailConnection.objects.update(due_at=None)

    activating.pick_up(MONDAY)
    mailbox.refresh_from_db()
    rung = mailbox.due_at
    MailConnection.objects.update(due_at=None)
    activating.pause(sequence=sequence, actor=sequence.owner, now=MONDAY)
    activating.pick_up(MONDAY)

    mailbox.refresh_from_db()
    assert (rung, mailbox.due_at) == (MONDAY, None)


def test_continues_those_held_for_what_was_seen_to(sequence: Sequence) -> None:
    mended, broken, unknown = enrolled(sequence, 3)
    start(sequence)
    for enrollment, reason in ((mended, "missing_value"), (broken, "template_broken"), (unknown, "outcome_unknown")):
        Enrollment.objects.filter(pk=enrollment.pk).update(state="held", reason=reason, detail="x", due_at=None)

    later = MONDAY + timedelta(hours=2)
    everyone = Enrollment.objects.all()
    count = activating.continue_held(sequence=sequence, enrollments=everyone, actor=sequence.owner, now=later)

    assert count == 2
    for enrollment in (mended, broken, unknown):
        enrollment.refresh_from_db()
    assert (mended.state, mended.reason, mended.detail, mended.due_at) == ("active", "", "", later)
    assert unknown.state == Enrollment.State.HELD


def test_shows_what_is_missing_with_the_way_there(alice: User, client_of: Callable[[User], Client]) -> None:
    sequence = sequence_of(alice, None, steps=1)

    answer = client_of(alice).post(reverse("sequences:activate", args=[sequence.pk]))

    page = answer.content.decode()
    assert answer.status_code == 409
    assert "There is no mailbox to send from." in page
    assert reverse("sequences:settings", args=[sequence.pk]) in page


def test_can_be_archived_and_taken_out_again(sequence: Sequence) -> None:
    start(sequence)

    activating.archive(sequence=sequence, actor=sequence.owner, now=MONDAY)
    told = missing(sequence)
    activating.unarchive(sequence=sequence, actor=sequence.owner, now=MONDAY)

    sequence.refresh_from_db()
    assert "archived" in told
    assert sequence.state == Sequence.State.PAUSED


def test_waits_for_the_hour_of_its_step_when_it_goes_on(sequence: Sequence) -> None:
    sequence.steps.filter(position=1).update(at_time=time(14), delay_unit="business_days")
    enrolled(sequence)

    start(sequence)

    assert due(sequence) == [datetime(2026, 5, 4, 12, tzinfo=UTC)]  # 14:00 in Berlin


@pytest.mark.django_db(transaction=True)
def test_misses_nobody_who_is_enrolled_while_two_people_start_it(sequence: Sequence) -> None:
    enrolled(sequence, activating.CHUNK + 10)
    comers = [candidate.pk for candidate in candidates(sequence, 60)]
    barrier = threading.Barrier(3)

    def press_start() -> None:
        barrier.wait()
        activating.start(sequence=sequence, actor=sequence.owner, now=MONDAY)
        connections.close_all()

    def enroll() -> None:
        barrier.wait()
        for start in range(0, 60, 10):
            ids = comers[start : start + 10]
            enrolling.enroll(sequence=sequence, candidate_ids=ids, actor=sequence.owner, now=MONDAY)
        connections.close_all()

    threads = [threading.Thread(target=work) for work in (press_start, press_start, enroll)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    sequence.refresh_from_db()
    assert (sequence.state, sequence.starting_at) == (Sequence.State.ACTIVE, None)
    assert sequence.enrollments.count() == activating.CHUNK + 70
    assert not sequence.enrollments.filter(due_at=None).exists()
    assert AuditEvent.objects.filter(action="sequence.activated").count() == 1
