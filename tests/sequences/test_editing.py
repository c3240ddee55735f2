"""Editing a sequence …"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse

from accounts.models import User
from mailconnect.models import DefaultMailbox, MailConnection
from sequences import activating, editing
from sequences.editing import EditRefused
from sequences.models import Candidate, CandidateImport, Enrollment, Sequence, Step
from tests.mailconnect.owning import connected, granted
from tests.sequences.making import add_step, enrolled, message_of, sequence_of

pytestmark = pytest.mark.django_db
Committing = Callable[..., AbstractContextManager[object]]
MONDAY = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)  # ten in Berlin
ClientOf = Callable[[User], Client]
EMAIL = {"delay": "0", "delay_unit": "days", "subject": "Hello", "body": "<p>Hi</p>", "kind": "new_thread"}


@pytest.fixture
def mailbox(alice: User) -> MailConnection:
    return connected(alice, MONDAY)


@pytest.fixture
def sequence(alice: User, mailbox: MailConnection) -> Sequence:
    return sequence_of(alice, mailbox, steps=3)


@pytest.fixture
def client(alice: User, client_of: ClientOf) -> Client:
    return client_of(alice)


def write(client: Client, sequence: Sequence, **fields: str) -> str:
    """Save a new step. Returns the page that follows."""
    address = reverse("sequences:new_step", args=[sequence.pk])
    return client.post(address, EMAIL | fields, follow=True).content.decode()


def subjects(sequence: Sequence) -> list[tuple[int, str]]:
    return list(sequence.steps.order_by("position").values_list("position", "body"))


def step(sequence: Sequence, position: int) -> Step:
    return sequence.steps.select_related("sequence", "connection").get(position=position)


def move(sequence: Sequence, position: int, *, up: bool) -> None:
    editing.move_step(step=step(sequence, position), up=up, actor=sequence.owner, now=MONDAY)


def delete(sequence: Sequence, position: int) -> None:
    editing.delete_step(step=step(sequence, position), actor=sequence.owner, now=MONDAY)


def numbered(sequence: Sequence) -> Sequence:
    """Its bodies say where they stood in the beginning; all are new threads, so that any order goes."""
    for each in sequence.steps.all():
        Step.objects.filter(pk=each.pk).update(body=str(each.position), kind="new_thread", subject="Hi")
    return sequence


def test_begins_with_a_name_and_the_default_mailbox(alice: User, mailbox: MailConnection, client: Client) -> None:
    DefaultMailbox.objects.create(user=alice, connection=mailbox)
    form = client.get(reverse("sequences:new")).context["form"]

    client.post(reverse("sequences:new"), {"name": "Engineers", "connection": form["connection"].value()})

    made = Sequence.objects.get()
    assert (made.name, made.owner, made.connection, made.state) == ("Engineers", alice, mailbox, "draft")


def test_offers_ones_own_and_granted_mailboxes_and_no_others(
    bob: User, mailbox: MailConnection, carol: User, mallory: User, client_of: ClientOf
) -> None:
    carols, mallorys = connected(carol, MONDAY), connected(mallory, MONDAY)
    bobs = connected(bob, MONDAY)
    granted(mailbox, bob)
    client = client_of(bob)

    offered = client.get(reverse("sequences:new")).context["form"].fields["connection"].queryset
    for forged in (carols, mallorys):
        client.post(reverse("sequences:new"), {"name": "Forged", "connection": forged.pk})

    assert set(offered) == {bobs, mailbox}
    assert not Sequence.objects.filter(name="Forged").exists()


def test_of_a_step_takes_no_foreign_sender(sequence: Sequence, carol: User, client: Client) -> None:
    page = write(client, sequence, connection=str(connected(carol, MONDAY).pk))

    assert "Select a valid choice" in page
    assert sequence.steps.count() == 3


def test_adds_a_step_behind_the_others(sequence: Sequence, client: Client) -> None:
    page = write(client, sequence, subject="Once more", delay="2", at_time="14:00")

    added = step(sequence, 4)
    assert (added.kind, added.subject, added.delay, added.at_time) == ("new_thread", "Once more", 2, time(14))
    assert "Step 4 is saved." in page


def test_makes_the_first_step_a_new_thread_whatever_is_sent(alice: User, client: Client) -> None:
    sequence = sequence_of(alice, None, steps=0)

    write(client, sequence, kind="reply")

    assert step(sequence, 1).kind == Step.Kind.NEW_THREAD


def test_gives_a_reply_no_subject_of_its_own(sequence: Sequence, client: Client) -> None:
    write(client, sequence, kind="reply", subject="Another")

    assert (step(sequence, 4).kind, step(sequence, 4).subject) == ("reply", "")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"body": "Hi {{ first_name"}, "Line 1: this {{ is never closed with }}."),
        ({"body": "Hi {{ first_nam }}"}, "there is no token {{ first_nam }}. Did you mean {{ first_name }}?"),
        ({"subject": "{{ salary }}"}, "there is no token {{ salary }}."),
        ({"body": "{% for i in (1..999999999) %}x{% endfor %}"}, "{% for %} cannot be used in an email."),
        ({"body": "{{" * 40_000}, "is never closed with"),
        ({"body": "x" * 1_000_000}, "The text is too long: 1000000 characters, at most 100,000 are allowed."),
        ({"subject": "x" * 300}, "at most 255 characters"),
        ({"delay": "-1"}, "greater than or equal to 0"),
        ({"delay": "400"}, "less than or equal to 365"),
        ({"delay": "many"}, "Enter a whole number."),
        ({"delay_unit": "years"}, "Select a valid choice."),
        ({"at_time": "25:00"}, "Enter a valid time."),
        ({"delay_unit": "hours", "at_time": "14:00"}, "A time of day goes with days."),
        ({"delay_unit": "minutes", "at_time": "14:00"}, "A time of day goes with days."),
        ({"kind": "carrier pigeon"}, "Select a valid choice."),
    ],
)
def test_refuses_a_step_with_a_sentence_and_loses_nothing(
    fields: dict[str, str], sentence: str, sequence: Sequence, client: Client
) -> None:
    page = write(client, sequence, **fields)

    assert sentence in page.replace("&#x27;", "'")
    assert sequence.steps.count() == 3
    for text in fields.values():
        assert text[:60] in page.replace("&quot;", '"')  # what was written is still there


def test_keeps_an_unfinished_step_of_a_draft_and_says_what_it_lacks(alice: User, client: Client) -> None:
    sequence = sequence_of(alice, None, steps=0)

    page = write(client, sequence, subject=" ", body="")

    assert step(sequence, 1).subject == ""
    assert "Step 1 is saved, and not finished. There is no subject yet. Write one. There is no text yet." in page
    assert page.count("There is no subject yet. Write one.") == 2  # once as it is saved, and at the step from then on


@pytest.mark.parametrize("position", [1, 4])
def test_lets_no_running_sequence_lose_a_subject(position: int, sequence: Sequence, client: Client) -> None:
    activating.start(sequence=sequence, actor=sequence.owner, now=MONDAY)
    name, places = ("edit_step", [step(sequence, 1).pk]) if position == 1 else ("new_step", [])

    page = client.post(reverse(f"sequences:{name}", args=[sequence.pk, *places]), EMAIL | {"subject": ""}).content

    assert "The sequence is running, so nothing was saved. There is no subject yet. Write one." in page.decode()
    assert (step(sequence, 1).subject, sequence.steps.count()) == ("Hello", 3)


def test_keeps_scripts_out_of_what_is_stored(sequence: Sequence, client: Client) -> None:
    write(client, sequence, body='<p onclick="x()">Hi</p><script>alert(1)</script>')

    assert step(sequence, 4).body == "<p>Hi</p>"


def test_reads_plain_text_and_what_quill_makes_of_tokens(sequence: Sequence, client: Client) -> None:
    write(client, sequence, body="<p>Hi {{&nbsp;first_name | default: &quot;there&quot; }}</p>")
    write(client, sequence, body="Hi {{ first_name }},\n\nbye")

    assert step(sequence, 4).body == '<p>Hi {{ first_name | default: "there" }}</p>'
    assert step(sequence, 5).body == "<p>Hi {{ first_name }},</p>\n<p>bye</p>"


def test_knows_the_tokens_that_candidates_came_with(sequence: Sequence, alice: User, client: Client) -> None:
    Candidate.objects.create(organization=alice.organization, email="a@b.example", fields={"city": "Bonn"})
    columns = [{"header": "Github name", "field": "token:github_name"}, {"header": "Mail", "field": "email"}]
    CandidateImport.objects.create(organization=alice.organization, user=alice, file_name="x.csv", columns=columns)

    page = write(client, sequence, body="{{ city }} {{ github_name }}")

    assert "Step 4 is saved." in page


def test_has_an_end_to_steps(sequence: Sequence, client: Client) -> None:
    for position in range(4, editing.STEPS_MOST + 1):
        add_step(sequence, position)

    assert "at most 20 steps" in write(client, sequence)


def test_changes_a_step(sequence: Sequence, client: Client) -> None:
    address = reverse("sequences:edit_step", args=[sequence.pk, step(sequence, 2).pk])

    client.post(address, EMAIL | {"kind": "reply", "delay": "5", "body": "Changed"})

    assert (step(sequence, 2).delay, step(sequence, 2).body) == (5, "<p>Changed</p>")


def test_previews_an_email_as_a_candidate_gets_it(sequence: Sequence, mailbox: MailConnection, client: Client) -> None:
    MailConnection.objects.update(signature_on=True, signature_html="<p>Alice</p>")
    (enrollment,) = enrolled(sequence, first_name="Zoë")
    sent = {
        "subject": "Hi {{ first_name }}",
        "body": "<h1 style='color:red'>{{ first_name }}</h1><img src='https://x/y'>",
    }

    page = client.post(
        reverse("sequences:preview_step", args=[sequence.pk]), sent | {"candidate": enrollment.candidate_id}
    ).content.decode()

    assert "<strong>Hi Zoë</strong>" in page
    assert "<h1" not in page
    assert "<p>Alice</p>" in page
    assert "style=" not in page
    assert "<img" not in page


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("{{ company }}", "has no value for <code>company</code>"),
        ("{{ compan }}", "Did you mean {{ company }}?"),
        ("{% if company %}", "{% endif %} is missing."),
        ("{{" * 10_000, "is never closed"),
        ("x" * 200_000, "Press Preview to see the email."),
    ],
)
def test_previews_what_is_wrong(body: str, told: str, sequence: Sequence, client: Client) -> None:
    enrolled(sequence)

    page = client.post(reverse("sequences:preview_step", args=[sequence.pk]), {"body": body}).content.decode()

    assert told in page


def test_previews_a_reply_with_the_subject_of_its_thread(sequence: Sequence, client: Client) -> None:
    sent = {"kind": "reply", "position": "2", "body": "Hi"}

    page = client.post(reverse("sequences:preview_step", args=[sequence.pk]), sent).content.decode()

    assert "<strong>Re: Hello</strong>" in page


def test_previews_without_a_script_and_keeps_nothing(sequence: Sequence, client: Client) -> None:
    enrolled(sequence, first_name="Zoë")

    page = write(client, sequence, body="Dear {{ first_name }}", preview="yes")

    assert "<p>Dear Zoë</p>" in page
    assert sequence.steps.count() == 3


def test_previews_no_foreign_candidate(sequence: Sequence, mallory: User, client: Client) -> None:
    stranger = Candidate.objects.create(organization=mallory.organization, email="x@y.example")
    address = reverse("sequences:preview_step", args=[sequence.pk])

    assert client.post(address, {"candidate": stranger.pk}).status_code == 404


def test_moves_steps_and_leaves_no_holes(sequence: Sequence) -> None:
    numbered(sequence)

    move(sequence, 3, up=True)
    move(sequence, 1, up=False)

    assert subjects(sequence) == [(1, "3"), (2, "1"), (3, "2")]


@pytest.mark.parametrize(("position", "up"), [(1, True), (3, False)])
def test_moves_nothing_off_the_end(position: int, up: bool, sequence: Sequence) -> None:
    with pytest.raises(EditRefused, match="cannot move any further"):
        move(sequence, position, up=up)


def test_lets_no_reply_become_the_first(sequence: Sequence) -> None:
    with pytest.raises(EditRefused, match="Step 1 cannot be a reply"):
        move(sequence, 2, up=True)
    with pytest.raises(EditRefused, match="Step 1 cannot be a reply"):
        delete(sequence, 1)

    assert [each.kind for each in sequence.steps.all()] == ["new_thread", "reply", "reply"]
    assert [each.position for each in sequence.steps.all()] == [1, 2, 3]


def test_lets_a_reply_follow_only_the_same_mailbox(sequence: Sequence, bob: User, alice: User) -> None:
    other = connected(bob, MONDAY)
    granted(other, alice)
    second = step(sequence, 2)
    second.connection = other

    with pytest.raises(EditRefused, match="Step 2 replies to an email that leaves from another mailbox"):
        editing.save_step(step=second, actor=alice, now=MONDAY)
    sequence.steps.update(kind="new_thread", subject="Hi")
    second.kind = Step.Kind.NEW_THREAD
    editing.save_step(step=second, actor=alice, now=MONDAY)

    assert step(sequence, 2).connection == other


def test_deletes_a_step_and_closes_the_gap(sequence: Sequence, client: Client) -> None:
    numbered(sequence)

    page = client.post(reverse("sequences:delete_step", args=[sequence.pk, step(sequence, 2).pk]), follow=True)

    assert subjects(sequence) == [(1, "1"), (2, "3")]
    assert "The step is deleted." in page.content.decode()


def test_keeps_a_step_that_emails_exist_of_and_says_so(sequence: Sequence, client: Client) -> None:
    (enrollment,) = enrolled(sequence)
    message_of(enrollment, step(sequence, 1), "planned", MONDAY)
    numbered(sequence)

    page = client.post(reverse("sequences:delete_step", args=[sequence.pk, step(sequence, 1).pk]), follow=True)

    assert "Emails of this step exist already, so it stays" in page.content.decode()
    assert sequence.steps.count() == 3
    with pytest.raises(EditRefused, match="Emails of step 1 exist already"):
        move(sequence, 2, up=True)
    move(sequence, 3, up=True)
    assert subjects(sequence) == [(1, "1"), (2, "3"), (3, "2")]


def test_finishes_those_whose_last_step_is_deleted(sequence: Sequence) -> None:
    (enrollment,) = enrolled(sequence)
    activating.start(sequence=sequence, actor=sequence.owner, now=MONDAY)
    message_of(enrollment, step(sequence, 1), "sent", MONDAY)
    Enrollment.objects.update(next_position=2, last_sent_at=MONDAY, due_at=MONDAY + timedelta(days=1))

    delete(sequence, 3)
    delete(sequence, 2)

    enrollment.refresh_from_db()
    assert (enrollment.state, enrollment.due_at) == (Enrollment.State.FINISHED, None)


def test_keeps_the_last_step_of_a_running_sequence(alice: User, mailbox: MailConnection) -> None:
    sequence = sequence_of(alice, mailbox)
    activating.start(sequence=sequence, actor=alice, now=MONDAY)

    with pytest.raises(EditRefused, match="Pause it first"):
        delete(sequence, 1)


def save(client: Client, page: str, sequence: Sequence, **fields: Any) -> str:
    return client.post(reverse(f"sequences:{page}", args=[sequence.pk]), fields, follow=True).content.decode()


def test_of_the_hours_plans_a_running_sequence_anew(sequence: Sequence, client: Client) -> None:
    (enrollment,) = enrolled(sequence)
    now = datetime.now(UTC)
    activating.start(sequence=sequence, actor=sequence.owner, now=now)

    page = save(
        client, "hours", sequence, window_days=["7"], window_from="20:00", window_until="21:00", time_zone="UTC"
    )

    enrollment.refresh_from_db()
    sequence.refresh_from_db()
    assert "Sun, 20:00–21:00, UTC" in page
    assert sequence.state == Sequence.State.ACTIVE
    assert enrollment.due_at is not None
    assert (enrollment.due_at.isoweekday(), enrollment.due_at.hour) == (7, 20)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"window_from": "09:00"}, "Say both when the window opens and when it closes"),
        ({"window_from": "22:00", "window_until": "02:00"}, "The window must close after it opens, on the same day."),
        ({"window_from": "9 o'clock", "window_until": "10:00"}, "Enter a valid time."),
        ({"window_days": ["8"]}, "Select a valid choice."),
        ({"time_zone": "Mars/Olympus"}, "Select a valid choice."),
    ],
)
def test_refuses_senseless_hours(fields: dict[str, Any], sentence: str, sequence: Sequence, client: Client) -> None:
    assert sentence in save(client, "hours", sequence, **fields)


def test_shows_which_hours_are_inherited(sequence: Sequence, client: Client) -> None:
    MailConnection.objects.update(
        time_zone="America/New_York", working_days="1234", working_from=time(8), working_until=time(16)
    )

    page = client.get(reverse("sequences:hours", args=[sequence.pk])).content.decode()

    assert "as the mailbox, Mon–Thu." in page
    assert "as the mailbox, 08:00–16:00." in page
    assert "As the mailbox: America/New_York" in page


def test_of_the_sender_moves_what_waits_to_the_other_mailbox(
    sequence: Sequence, alice: User, bob: User, client: Client, django_capture_on_commit_callbacks: Committing
) -> None:
    other = connected(bob, MONDAY)
    granted(other, alice)
    (enrollment,) = enrolled(sequence)
    activating.start(sequence=sequence, actor=alice, now=datetime.now(UTC))

    with django_capture_on_commit_callbacks(execute=True):
        save(client, "settings", sequence, name="Renamed", connection=other.pk)

    enrollment.refresh_from_db()
    sequence.refresh_from_db()
    other.refresh_from_db()
    assert (sequence.name, sequence.connection, sequence.state) == ("Renamed", other, Sequence.State.ACTIVE)
    assert enrollment.connection == other
    assert other.due_at == enrollment.due_at


def test_refuses_to_leave_a_running_sequence_without_a_sender(sequence: Sequence, client: Client) -> None:
    activating.start(sequence=sequence, actor=sequence.owner, now=MONDAY)

    page = save(client, "settings", sequence, name="Renamed", connection="")

    sequence.refresh_from_db()
    assert "There is no mailbox to send from." in page
    assert (sequence.name, sequence.state) == ("Engineers", Sequence.State.ACTIVE)
    assert sequence.connection is not None


@pytest.mark.django_db(transaction=True)
def test_by_two_at_once_leaves_the_steps_numbered_without_holes(alice: User) -> None:
    sequence = numbered(sequence_of(alice, None, steps=6))
    barrier = threading.Barrier(4)

    def shuffle(up: bool) -> None:
        barrier.wait()
        for position in (3, 4, 2, 5, 3, 4):
            move(sequence, position, up=up)
        connections.close_all()

    def add_and_delete() -> None:
        barrier.wait()
        for _ in range(4):
            step_ = Step(kind="new_thread", subject="Hi", body="new")
            editing.add_step(sequence=sequence, step=step_, actor=alice, now=MONDAY)
            editing.delete_step(step=step_, actor=alice, now=MONDAY)
        connections.close_all()

    threads = [
        *(threading.Thread(target=shuffle, args=[up]) for up in (True, False)),
        *(threading.Thread(target=add_and_delete) for _ in range(2)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [position for position, _ in subjects(sequence)] == [1, 2, 3, 4, 5, 6]
    assert sorted(body for _, body in subjects(sequence)) == ["1", "2", "3", "4", "5", "6"]
