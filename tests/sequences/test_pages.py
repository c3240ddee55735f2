"""The pages of sequences: …"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from mailconnect.models import MailConnection
from sequences import reporting
from sequences.models import Enrollment, Sequence
from tests.mailconnect.owning import connected
from tests.sequences.making import enrolled, message_of, sequence_of

pytestmark = pytest.mark.django_db
MONDAY = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)
BODY = '<p style="color:red">Hi</p><script>x()</script>'
ClientOf = Callable[[User], Client]


@pytest.fixture
def mailbox(alice: User) -> MailConnection:
    return connected(alice, MONDAY)


@pytest.fixture
def sequence(alice: User, mailbox: MailConnection) -> Sequence:
    return sequence_of(alice, mailbox, steps=2)


@pytest.fixture
def people(request: pytest.FixtureRequest) -> dict[str, User]:
    return {name: request.getfixturevalue(name) for name in ("alice", "bob", "ada", "mallory")}


LOOK = ["detail", "emails", "steps", "dry_run"]
CHANGE = ["settings", "hours", "new_step"]
DO = ["activate", "pause", "archive", "unarchive", "continue_held"]
# Alice is the owner, Bob a colleague, Ada the admin, Mallory from elsewhere.
MAY_LOOK = {"alice": 200, "bob": 200, "ada": 200, "mallory": 404}
MAY_CHANGE = {"alice": 200, "bob": 403, "ada": 200, "mallory": 404}
MAY_DO = {"alice": 302, "bob": 403, "ada": 302, "mallory": 404}


@pytest.mark.parametrize("name", LOOK)
def test_are_for_all_of_the_organization(
    name: str, sequence: Sequence, people: dict[str, User], client_of: ClientOf
) -> None:
    address = reverse(f"sequences:{name}", args=[sequence.pk])

    assert {who: client_of(user).get(address).status_code for who, user in people.items()} == MAY_LOOK
    assert Client().get(address).status_code == 302


@pytest.mark.parametrize("name", CHANGE)
def test_change_a_sequence_for_its_owner_and_admins(
    name: str, sequence: Sequence, people: dict[str, User], client_of: ClientOf
) -> None:
    address = reverse(f"sequences:{name}", args=[sequence.pk])

    assert {who: client_of(user).get(address).status_code for who, user in people.items()} == MAY_CHANGE


@pytest.mark.parametrize("name", DO)
def test_act_for_its_owner_and_admins_and_only_by_post(
    name: str, sequence: Sequence, people: dict[str, User], client_of: ClientOf
) -> None:
    address = reverse(f"sequences:{name}", args=[sequence.pk])

    assert {who: client_of(user).post(address).status_code for who, user in people.items()} == MAY_DO
    assert client_of(people["alice"]).get(address).status_code == 405


@pytest.mark.parametrize("name", ["edit_step", "move_step", "delete_step"])
def test_of_a_step_of_another_sequence_are_not_there(
    name: str, sequence: Sequence, bob: User, client_of: ClientOf
) -> None:
    others = sequence_of(bob, None)
    address = reverse(f"sequences:{name}", args=[others.pk, sequence.steps.get(position=1).pk])

    assert client_of(bob).post(address).status_code == 404


def test_of_an_email_are_for_all_of_the_organization(
    sequence: Sequence, people: dict[str, User], client_of: ClientOf
) -> None:
    (enrollment,) = enrolled(sequence)
    message = message_of(
        enrollment,
        sequence.steps.get(position=1),
        "sent",
        MONDAY,
        body_html='<p style="color:red">Hi</p><script>x()</script>',
    )
    address = reverse("sequences:message", args=[message.pk])

    assert {who: client_of(user).get(address).status_code for who, user in people.items()} == MAY_LOOK
    page = client_of(people["alice"]).get(address).content.decode()
    assert "<p>Hi</p>" in page
    assert "x()" not in page


def queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(
        database,
    ) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


@pytest.mark.parametrize("name", ["detail", "emails", "steps", "dry_run"])
def test_ask_as_often_for_many_rows_as_for_few(name: str, sequence: Sequence, alice: User, client_of: ClientOf) -> None:
    client, address = client_of(alice), reverse(f"sequences:{name}", args=[sequence.pk])
    step = sequence.steps.get(position=1)
    for enrollment in enrolled(sequence, 2):
        message_of(enrollment, step, "sent", MONDAY)
    queries(client, address)  # what is remembered between requests
    few = queries(client, address)

    for enrollment in enrolled(sequence, 40):
        message_of(enrollment, step, "sent", MONDAY)

    assert queries(client, address) == few


def test_list_all_sequences_with_as_many_questions_as_one(
    alice: User, mailbox: MailConnection, client_of: ClientOf
) -> None:
    client, address = client_of(alice), reverse("sequences:list")
    enrolled(sequence_of(alice, mailbox))
    queries(client, address)
    few = queries(client, address)

    for number in range(30):
        enrolled(sequence_of(alice, mailbox, name=f"Number {number}"), 2)

    assert queries(client, address) == few
    page = client.get(address).content.decode()
    assert "Number 29" in page


def test_list_what_needs_the_owner(sequence: Sequence, alice: User, bob: User, client_of: ClientOf) -> None:
    enrolled(sequence, 2, state="held", reason="missing_value")

    pages = {user: client_of(user).get(reverse("sequences:list")).content.decode() for user in (alice, bob)}

    assert "2 candidates wait for a decision" in pages[alice]
    assert "for a decision" not in pages[bob]


def test_leave_archived_sequences_out_unless_asked(sequence: Sequence, alice: User, client_of: ClientOf) -> None:
    Sequence.objects.update(state=Sequence.State.ARCHIVED)
    client, address = client_of(alice), reverse("sequences:list")

    assert sequence.name not in client.get(address).content.decode()
    assert sequence.name in client.get(address, {"state": "archived"}).content.decode()


def test_go_through_all_enrollments_without_losing_one(sequence: Sequence, alice: User, client_of: ClientOf) -> None:
    everyone = {enrollment.pk for enrollment in enrolled(sequence, 2 * reporting.PAGE + 3)}
    address = reverse("sequences:detail", args=[sequence.pk])
    client = client_of(alice)

    seen: list[int] = []
    page = client.get(address).context["page"]
    seen += [row.pk for row in page.rows]
    while page.older:
        page = client.get(address, {"before": page.older}).context["page"]
        seen += [row.pk for row in page.rows]
    back = client.get(address, {"after": page.newer}).context["page"]

    assert sorted(seen, reverse=True) == seen
    assert set(seen) == everyone
    assert [row.pk for row in back.rows] == seen[reporting.PAGE : 2 * reporting.PAGE]


@pytest.mark.parametrize("before", ["x", "-1", "9" * 40, "²", "1.5"])
def test_take_a_senseless_page_for_the_first(before: str, sequence: Sequence, alice: User, client_of: ClientOf) -> None:
    enrolled(sequence)

    page = client_of(alice).get(reverse("sequences:detail", args=[sequence.pk]), {"before": before})

    assert page.status_code == 200


def test_show_why_an_enrollment_is_held_and_let_it_go_on(sequence: Sequence, alice: User, client_of: ClientOf) -> None:
    (enrollment,) = enrolled(sequence, state="held", reason="missing_value", detail="company")
    client = client_of(alice)

    page = client.get(reverse("sequences:detail", args=[sequence.pk]), {"state": "held"}).content.decode()
    answer = client.post(
        reverse("sequences:continue_held", args=[sequence.pk]), {"reason": "missing_value"}, follow=True
    )

    assert "has no value for this candidate" in page
    assert "Continue all" in page
    assert "1 candidate goes on." in answer.content.decode()
    enrollment.refresh_from_db()
    assert enrollment.state == Enrollment.State.ACTIVE


def test_say_that_nothing_is_sent_before_the_start(sequence: Sequence, alice: User, client_of: ClientOf) -> None:
    enrolled(sequence, 2)

    page = client_of(alice).get(reverse("sequences:detail", args=[sequence.pk])).content.decode()

    assert "2 candidates wait in this sequence, and nothing is sent before it is activated." in page


def test_say_why_a_sequence_is_paused(sequence: Sequence, alice: User, client_of: ClientOf) -> None:
    Sequence.objects.update(state=Sequence.State.PAUSED, paused_reason="grant_revoked", activated_at=MONDAY)

    page = client_of(alice).get(reverse("sequences:detail", args=[sequence.pk])).content.decode()

    assert "The permission to send from this mailbox was revoked. Ask its owner again" in page
    assert "Resume" in page


def test_count_no_further_than_people_do() -> None:
    assert str(reporting.Count(10_000)) == "10,000"
    assert str(reporting.Count(10_001)) == "10,000+"


@pytest.mark.parametrize("name", ["continue_enrollment", "unenroll", "enroll_again"])
def test_decide_about_an_enrollment_for_its_owner_and_admins(
    name: str, sequence: Sequence, people: dict[str, User], client_of: ClientOf
) -> None:
    (enrollment,) = enrolled(sequence)
    address = reverse(f"sequences:{name}", args=[enrollment.pk])

    assert {who: client_of(user).post(address).status_code for who, user in people.items()} == MAY_DO


def test_take_a_candidate_out_and_in_again(sequence: Sequence, alice: User, client_of: ClientOf) -> None:
    (enrollment,) = enrolled(sequence, next_position=2, last_sent_at=MONDAY)
    client = client_of(alice)

    out = client.post(reverse("sequences:unenroll", args=[enrollment.pk]), follow=True).content.decode()
    enrollment.refresh_from_db()
    was = (enrollment.state, enrollment.reason)
    back = client.post(reverse("sequences:enroll_again", args=[enrollment.pk]), follow=True).content.decode()

    assert was == (Enrollment.State.STOPPED, "unenrolled")
    assert "A colleague took this candidate out." in out
    assert "goes on with the next step" in back
    enrollment.refresh_from_db()
    assert (enrollment.state, enrollment.next_position) == (Enrollment.State.ACTIVE, 2)


def test_say_what_an_active_sequence_waits_for(sequence: Sequence, alice: User, client_of: ClientOf) -> None:
    until = datetime.now(UTC) + timedelta(hours=2)
    Sequence.objects.update(state=Sequence.State.ACTIVE, held_until=until, held_reason="grant_cap")
    MailConnection.objects.update(automatic_replies="always")

    page = client_of(alice).get(reverse("sequences:detail", args=[sequence.pk])).content.decode()

    assert "daily cap is reached. It goes on by itself, not before" in page
    assert "automatic replies are on. It goes on by itself." in page


def test_start_a_sequence_and_say_who_is_missing(sequence: Sequence, alice: User, client_of: ClientOf) -> None:
    address = reverse("sequences:activate", args=[sequence.pk])

    empty = client_of(alice).post(address, follow=True).content.decode()
    Sequence.objects.update(state=Sequence.State.PAUSED)
    enrolled(sequence, 2, first_name="")
    incomplete = client_of(alice).post(address, follow=True).content.decode()

    assert "Nobody is in it yet." in empty
    assert "2 emails lack a value and are held back" in incomplete


@pytest.mark.parametrize(
    ("name", "sent"),
    [("detail", {"state": "\0"}), ("emails", {"state": "x" * 5000, "before": "9" * 18}), ("steps", {"q": "\0"})],
)
def test_bear_senseless_questions(
    name: str, sent: dict[str, str], sequence: Sequence, alice: User, client_of: ClientOf
) -> None:
    client = client_of(alice)

    assert client.get(reverse(f"sequences:{name}", args=[sequence.pk]), sent).status_code == 200
    assert client.get(reverse("sequences:suppressions"), {"q": "a\0b"}).status_code == 200
    assert client.get(reverse("sequences:list"), {"state": "\0", "page": "\0"}).status_code == 200
    assert client.post(reverse("sequences:continue_held", args=[sequence.pk]), {"reason": "\0"}).status_code == 302
    assert client.get(reverse("sequences:detail", args=[10**30])).status_code == 404
