"""An import stores every row once, whatever interrupts it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError
from django_q.models import OrmQ

from accounts.models import AuditEvent, Notification, Organization, User
from sequences.importing import running
from sequences.importing.running import StartRefused, advance, continue_stalled, start
from sequences.models import Candidate, CandidateImport, Enrollment, Sequence, Step, Suppression
from tests.at_once import at_once
from tests.mailconnect.owning import connected
from tests.sequences.test_worker import address_of_database
from tests.sequences.uploading import uploaded

State = CandidateImport.State
NOW = datetime(2026, 3, 4, 10, tzinfo=UTC)  # a Wednesday


def clock() -> datetime:
    return NOW


def people(count: int, *, first: int = 0) -> list[str]:
    return [f"p{number}@client.example,P{number},Last,Client,,gh{number}" for number in range(first, first + count)]


def run(upload: CandidateImport) -> CandidateImport:
    advance(upload.pk, clock=clock)
    upload.refresh_from_db()
    return upload


@pytest.fixture
def sequence(alice: User) -> Sequence:
    made = Sequence.objects.create(
        organization=alice.organization,
        owner=alice,
        name="Outreach",
        connection=connected(alice, NOW),
        state=Sequence.State.ACTIVE,
    )
    Step.objects.create(sequence=made, position=1, subject="Hello", body="<p>Hello</p>")
    return made


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "CHUNK", 3)


def test_stores_candidates_with_all_their_columns(alice: User) -> None:
    line = 'Carol@Client.example,Carol,"Chen, MBA","=HYPERLINK(""x"")",Tokyo,carol-c'

    done = run(uploaded(alice, NOW, line))

    candidate = Candidate.objects.get(organization=alice.organization)
    assert (candidate.email, candidate.first_name, candidate.last_name) == (
        "carol@client.example",
        "Carol",
        "Chen, MBA",
    )
    assert (candidate.company, candidate.time_zone) == ('=HYPERLINK("x")', "Asia/Tokyo")
    assert (candidate.fields, candidate.last_import_id) == ({"github": "carol-c"}, done.pk)
    assert (done.state, done.created, done.updated, done.refused) == (State.DONE, 1, 0, 0)


@pytest.mark.usefixtures("small_chunks")
def test_empties_the_file_and_writes_down_who_imported_it(alice: User) -> None:
    done = run(uploaded(alice, NOW, *people(7)))

    assert done.content is None
    assert (done.rows_read, done.created, done.finished_at) == (7, 7, NOW)
    event = AuditEvent.objects.get(action="candidates.imported")
    assert (event.actor, event.details) == (alice, {"rows": 7, "refused": 0})


@pytest.mark.usefixtures("small_chunks")
def test_completes_what_is_known_and_keeps_what_it_says(alice: User) -> None:
    Candidate.objects.create(
        organization=alice.organization,
        email="P1@client.example",
        first_name="Patricia",
        fields={"github": "own", "x": "y"},
    )

    done = run(uploaded(alice, NOW, *people(5)))

    known = Candidate.objects.get(email__iexact="p1@client.example")
    assert (known.first_name, known.last_name) == ("Patricia", "Last")
    assert known.fields == {"github": "own", "x": "y"}
    assert (done.created, done.updated) == (4, 1)


@pytest.mark.usefixtures("small_chunks")
def test_merges_an_address_that_comes_again_near_or_far(alice: User) -> None:
    again = ["P0@CLIENT.example,Other,,,Tokyo,", "p0@client.example,,,,,second"]

    done = run(uploaded(alice, NOW, people(1)[0], again[0], *people(4, first=1), again[1]))

    candidate = Candidate.objects.get(email="p0@client.example")
    assert (candidate.first_name, candidate.time_zone, candidate.fields) == ("P0", "Asia/Tokyo", {"github": "gh0"})
    assert (done.rows_read, done.created, done.updated) == (7, 5, 0)


def test_leaves_other_organizations_alone(alice: User, mallory: User) -> None:
    Candidate.objects.create(organization=mallory.organization, email="p0@client.example", first_name="Theirs")

    run(uploaded(alice, NOW, *people(1)))

    assert Candidate.objects.get(organization=mallory.organization).last_name == ""
    assert Candidate.objects.get(organization=alice.organization).first_name == "P0"


@pytest.mark.usefixtures("small_chunks")
def test_keeps_line_and_reason_of_refused_rows(alice: User) -> None:
    done = run(uploaded(alice, NOW, *people(3), "not an address,X", ",Nobody", *people(1, first=3)))

    assert (done.created, done.refused) == (4, 2)
    assert done.refusals == [[5, "bad_address", "not an address"], [6, "no_address", "Nobody"]]


@pytest.mark.usefixtures("small_chunks")
def test_keeps_the_first_thousand_refusals(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "KEPT_REFUSALS", 4)

    done = run(uploaded(alice, NOW, *["nobody,X"] * 8))

    assert (done.refused, [line for line, *_ in done.refusals]) == (8, [2, 3, 4, 5])


@pytest.mark.usefixtures("small_chunks")
def test_enrolls_what_it_stores(alice: User, sequence: Sequence) -> None:
    Suppression.objects.create(organization=alice.organization, email="P1@client.example")

    done = run(uploaded(alice, NOW, *people(5), people(1)[0], sequence=sequence))

    assert Enrollment.objects.filter(sequence=sequence, due_at=NOW, enrolled_by=alice).count() == 4
    assert (done.enrolled, done.enrolling) == (4, {"enrolled": 4, "suppressed": 1})


@pytest.mark.usefixtures("small_chunks")
def test_goes_on_where_it_broke_off(alice: User, sequence: Sequence, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = uploaded(alice, NOW, *people(4), people(1)[0], *people(4, first=4), "nobody", sequence=sequence)
    calls = iter([False, True])

    def away() -> datetime:
        if next(calls):
            raise OperationalError("the database went away")
        return NOW

    advance(upload.pk, clock=away)
    upload.refresh_from_db()
    interrupted = (upload.state, upload.rows_read, upload.created)
    done = run(upload)

    assert interrupted == (State.RUNNING, 3, 3)
    assert (done.state, done.rows_read, done.created, done.updated) == (State.DONE, 10, 8, 0)
    assert (done.enrolled, done.refused, len(done.refusals)) == (8, 1, 1)
    assert Enrollment.objects.count() == 8


@pytest.mark.usefixtures("small_chunks")
def test_ends_as_failed_with_a_reason_and_can_be_started_again(
    alice: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    upload = uploaded(alice, NOW, *people(7))
    clocks = iter([NOW, "no moment at all", NOW])

    advance(upload.pk, clock=lambda: next(clocks))  # type: ignore[arg-type, return-value]
    upload.refresh_from_db()
    failed = (upload.state, upload.reason, upload.rows_read)
    start(upload=upload, sequence=None, actor=alice, now=NOW)
    done = run(upload)

    assert failed == (State.FAILED, "broken", 3)
    assert (done.state, done.created) == (State.DONE, 7)
    assert "client.example" not in caplog.text


@pytest.mark.usefixtures("small_chunks")
def test_fails_when_its_sequence_is_archived(alice: User, sequence: Sequence) -> None:
    Sequence.objects.update(state=Sequence.State.ARCHIVED)

    failed = run(uploaded(alice, NOW, *people(2), sequence=sequence))

    assert (failed.state, failed.reason, failed.created) == (State.FAILED, "archived", 0)


@pytest.mark.usefixtures("small_chunks")
def test_hands_over_to_another_task_when_its_time_is_up(alice: User) -> None:
    upload = uploaded(alice, NOW, *people(7))
    seconds = iter([0, 10, 50])

    advance(upload.pk, clock=clock, monotonic=lambda: next(seconds))
    upload.refresh_from_db()

    assert (upload.state, upload.rows_read) == (State.RUNNING, 6)


def test_queues_itself_once_it_is_confirmed(
    alice: User, django_capture_on_commit_callbacks: Callable[..., object]
) -> None:
    upload = uploaded(alice, NOW, *people(2), waiting=False)

    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[attr-defined]
        start(upload=upload, sequence=None, actor=alice, now=NOW)

    [queued] = OrmQ.objects.all()
    assert (queued.task["func"], queued.task["args"]) == (running.TASK, (upload.pk,))
    with pytest.raises(StartRefused, match="already started"):
        start(upload=upload, sequence=None, actor=alice, now=NOW)


def test_does_not_start_without_a_column_of_addresses(alice: User) -> None:
    upload = uploaded(alice, NOW, *people(2), waiting=False)
    CandidateImport.objects.update(columns=[{"header": "E-mail", "field": ""}])

    with pytest.raises(StartRefused, match="Choose the column"):
        start(upload=upload, sequence=None, actor=alice, now=NOW)


def test_wakes_what_was_interrupted_and_gives_up_the_second_time(alice: User) -> None:
    upload = uploaded(alice, NOW, *people(2))
    CandidateImport.objects.update(state=State.RUNNING)
    later = NOW + timedelta(minutes=6)

    woken = [continue_stalled(NOW), continue_stalled(later), continue_stalled(later)]
    upload.refresh_from_db()
    interrupted = (upload.state, upload.reason)
    woken.append(continue_stalled(later + timedelta(minutes=6)))
    upload.refresh_from_db()

    assert woken == [0, 1, 0, 0]
    assert interrupted == (State.RUNNING, "interrupted")
    assert (upload.state, upload.reason) == (State.FAILED, "interrupted")


def test_keeps_waking_what_only_waits_for_a_worker(alice: User) -> None:
    upload = uploaded(alice, NOW, *people(2))

    woken = [continue_stalled(NOW + timedelta(minutes=6 * times)) for times in (1, 2, 3)]
    done = run(upload)

    assert (woken, done.state) == ([1, 1, 1], State.DONE)


def test_tells_who_had_to_wait(alice: User) -> None:
    upload = uploaded(alice, NOW - timedelta(minutes=2), *people(2))

    run(upload)

    assert Notification.objects.get(user=alice).title == "“candidates.csv” is imported"


@pytest.mark.postgres  # SQLite has one writer at a time
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("small_chunks")
def test_two_files_at_once_leave_one_row_per_address(sequence: Sequence, alice: User) -> None:
    lines = people(40)
    uploads = [
        uploaded(alice, NOW, *lines, sequence=sequence),
        uploaded(alice, NOW, *reversed(lines), sequence=sequence),
    ]

    at_once(*[lambda upload=upload: advance(upload.pk, clock=clock) for upload in uploads])

    ends = [CandidateImport.objects.get(pk=upload.pk) for upload in uploads]
    assert [(end.state, end.created + end.updated) for end in ends] == [(State.DONE, 40)] * 2
    assert sum(end.created for end in ends) == sum(end.enrolled for end in ends) == 40
    assert (Candidate.objects.count(), Enrollment.objects.count()) == (40, 40)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("small_chunks")
def test_one_file_read_by_two_workers_is_stored_once(sequence: Sequence, alice: User) -> None:
    upload = uploaded(alice, NOW, *people(40), sequence=sequence)

    at_once(*[lambda: advance(upload.pk, clock=clock)] * 2)
    done = run(upload)

    assert (done.state, done.rows_read, done.created, done.updated, done.enrolled) == (State.DONE, 40, 40, 0, 40)


def test_is_the_organizations_own(organization: Organization, alice: User) -> None:
    done = run(uploaded(alice, NOW, *people(1)))

    assert set(done.candidates.values_list("organization", flat=True)) == {organization.pk}


# A worker with small chunks that takes its time.
WORKER = """
import sys, time
import django
django.setup()
from django.utils import timezone
from sequences.importing import running
def slowly():
    time.sleep(0.05)
    return timezone.now()
running.CHUNK = 5
running.advance(int(sys.argv[1]), clock=slowly)
"""


@pytest.mark.django_db(transaction=True)
def test_stores_each_row_once_though_its_worker_is_killed(sequence: Sequence, alice: User) -> None:
    upload = uploaded(alice, NOW, *people(150), "nobody", people(1)[0], sequence=sequence)
    kills = 0

    while CandidateImport.objects.get(pk=upload.pk).state != State.DONE:
        before = CandidateImport.objects.get(pk=upload.pk).rows_read
        worker = _worker(upload.pk)
        while worker.poll() is None:
            if kills < 2 and CandidateImport.objects.get(pk=upload.pk).rows_read > before + 20:
                worker.kill()
                kills += 1
            time.sleep(0.02)
        worker.wait()

    upload.refresh_from_db()
    assert kills == 2
    assert (upload.rows_read, upload.created, upload.updated, upload.refused) == (152, 150, 0, 1)
    assert (upload.enrolled, Candidate.objects.count(), Enrollment.objects.count()) == (150, 150, 150)


def _worker(import_id: int) -> "subprocess.Popen[bytes]":
    settings = {"DATABASE_URL": address_of_database(), "DJANGO_SETTINGS_MODULE": "metaview_outreach.settings"}
    return subprocess.Popen([sys.executable, "-c", WORKER, str(import_id)], env=os.environ | settings)
