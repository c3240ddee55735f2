"""Candidates are found, added, changed, enrolled and left alone: within the organization."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_q.models import OrmQ

from accounts.models import AuditEvent, User
from sequences.importing import tasks as importing
from sequences.models import Candidate, CandidateImport, Enrollment, Message, Sequence, Step, Suppression
from sequences.searching import PER_PAGE
from sequences.views import candidates as pages
from tests.mailconnect.owning import connected
from tests.sequences.uploading import uploaded

NOW = datetime(2026, 3, 4, 10, tzinfo=UTC)
ClientOf = Callable[[User], Client]


def candidate(user: User, email: str, first: str = "", last: str = "", **fields: Any) -> Candidate:
    return Candidate.objects.create(
        organization=user.organization, email=email, first_name=first, last_name=last, **fields
    )


def crowd(user: User, count: int, *, now: datetime = NOW) -> list[Candidate]:
    return Candidate.objects.bulk_create(
        Candidate(
            organization=user.organization,
            email=f"p{number:04}@client.example",
            first_name="Pat",
            last_name=f"Number{number:04}",
            created_at=now + timedelta(minutes=number // 2),  # several at the same moment, as of an import
        )
        for number in range(count)
    )


def names_on(response: Any) -> list[str]:
    return [each.email for each in response.context["page"].candidates]


def text_of(response: Any) -> str:
    return " ".join(response.content.decode().split())


@pytest.fixture
def sequence(alice: User) -> Sequence:
    return Sequence.objects.create(organization=alice.organization, owner=alice, name="Outreach")


def test_says_what_to_do_when_there_is_nobody_yet(alice: User, client_of: ClientOf) -> None:
    page = text_of(client_of(alice).get(reverse("sequences:candidates")))

    assert "No candidates yet" in page
    assert "samples/candidates.csv" in page


def test_pages_forth_and_back_and_misses_nobody(alice: User, client_of: ClientOf) -> None:
    everyone = [each.email for each in crowd(alice, PER_PAGE * 2 + 7)][::-1]
    client, address = client_of(alice), reverse("sequences:candidates")

    first = client.get(address)
    second = client.get(address, {"before": first.context["page"].older})
    third = client.get(address, {"before": second.context["page"].older})
    back = client.get(address, {"after": third.context["page"].newer})
    front = client.get(address, {"after": back.context["page"].newer})

    assert names_on(first) + names_on(second) + names_on(third) == everyone
    assert third.context["page"].older is None
    assert (names_on(back), names_on(front)) == (names_on(second), names_on(first))
    assert front.context["page"].newer is None


@pytest.mark.parametrize("edge", ["0", "-1", "abc", "9" * 40, "99999"])
def test_shows_the_newest_for_an_edge_that_is_none(alice: User, client_of: ClientOf, edge: str) -> None:
    crowd(alice, 3)

    response = client_of(alice).get(reverse("sequences:candidates"), {"before": edge})

    assert len(names_on(response)) == 3


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("carol", ["carol@client.example"]),
        ("CAROL@CLIENT", ["carol@client.example"]),
        ("che", ["carol@client.example"]),
        ("carol che", ["carol@client.example"]),
        ("chen  car", ["carol@client.example"]),
        ("van d", ["dora@client.example"]),
        ("jörg", ["joerg@client.example"]),
        ("100%", []),
        ("c_rol", []),
        ("hen", []),
        ("client.example", []),
        ("\x00", []),
    ],
)
def test_finds_by_the_beginning_of_an_address_or_a_name(
    alice: User, client_of: ClientOf, text: str, found: list[str]
) -> None:
    candidate(alice, "carol@client.example", "Carol", "Chen")
    candidate(alice, "dora@client.example", "Dora", "van der Chen")
    candidate(alice, "joerg@client.example", "Jörg", "Weiß")

    response = client_of(alice).get(reverse("sequences:candidates"), {"q": text})

    assert sorted(names_on(response)) == found


@pytest.mark.parametrize(
    ("count", "told"), [(50, ""), (55, "The first 50 of 55 that begin"), (1_001, "The first 50 of 1,000+ that begin")]
)
def test_says_how_many_begin_like_that(alice: User, client_of: ClientOf, count: int, told: str) -> None:
    crowd(alice, count)

    response = client_of(alice).get(reverse("sequences:candidates"), {"q": "pat"})

    assert len(names_on(response)) == PER_PAGE
    assert ("The first" in text_of(response)) == bool(told)
    assert told in text_of(response)


@pytest.mark.parametrize("query", [{}, {"q": "pat"}])
def test_needs_no_more_queries_for_more_candidates(alice: User, client_of: ClientOf, query: dict[str, str]) -> None:
    client, counts = client_of(alice), []

    for count in (2, PER_PAGE + 10):
        Candidate.objects.all().delete()
        crowd(alice, count)
        with CaptureQueriesContext(connection) as queries:
            client.get(reverse("sequences:candidates"), query)
        counts.append(len(queries))

    assert counts[0] == counts[1]


@pytest.mark.postgres
@pytest.mark.parametrize("text", ["p0011", "number0011", "paul"])
def test_searches_by_index(alice: User, client_of: ClientOf, text: str) -> None:
    crowd(alice, 3000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE sequences_candidate")
        with CaptureQueriesContext(connection) as queries:
            client_of(alice).get(reverse("sequences:candidates"), {"q": text})
        searches = [query["sql"] for query in queries if " LIKE " in query["sql"]]
        plans = []
        for search in searches:
            cursor.execute(f"EXPLAIN {search}")
            plans.append("".join(row[0] for row in cursor.fetchall()))

    assert len(plans) == 3
    assert all("~>=~" in plan for plan in plans)


def test_shows_the_candidates_of_one_file(alice: User, bob: User, client_of: ClientOf) -> None:
    upload = uploaded(alice, NOW, "a@client.example")
    candidate(alice, "a@client.example", last_import=upload)
    candidate(alice, "b@client.example")
    address = reverse("sequences:candidates") + f"?import={upload.pk}"

    assert names_on(client_of(alice).get(address)) == ["a@client.example"]
    assert client_of(bob).get(address).status_code == 404


FORM = {"email": "Carol@Client.example", "first_name": "Carol", "time_zone": "berlin"}


def test_adds_a_candidate_with_the_tokens_that_files_brought(alice: User, client_of: ClientOf) -> None:
    uploaded(alice, NOW, "a@client.example")  # with a column GitHub

    response = client_of(alice).post(reverse("sequences:new_candidate"), FORM | {"token_github": "carol-c"})

    added = Candidate.objects.get(email="carol@client.example")
    assert response["Location"] == reverse("sequences:candidate", args=[added.pk])
    assert (added.organization, added.time_zone, added.fields) == (
        alice.organization,
        "Europe/Berlin",
        {"github": "carol-c"},
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"email": "carol at client"}, "This is not an e-mail address."),
        ({"email": ""}, "This field is required."),
        ({"time_zone": "Middle-earth"}, "There is no such time zone."),
        ({"first_name": "x" * 101}, "at most 100 characters"),
    ],
)
def test_says_what_is_wrong_in_the_form(alice: User, client_of: ClientOf, changes: dict[str, str], says: str) -> None:
    response = client_of(alice).post(reverse("sequences:new_candidate"), FORM | changes)

    assert says in text_of(response)
    assert not Candidate.objects.exists()


def test_links_to_who_has_the_address_already(alice: User, client_of: ClientOf) -> None:
    known = candidate(alice, "CAROL@client.example", "Carol")

    response = client_of(alice).post(reverse("sequences:new_candidate"), FORM)

    assert reverse("sequences:candidate", args=[known.pk]) in text_of(response)
    assert Candidate.objects.count() == 1


def test_allows_the_address_that_another_organization_has(alice: User, mallory: User, client_of: ClientOf) -> None:
    candidate(mallory, "carol@client.example")

    client_of(alice).post(reverse("sequences:new_candidate"), FORM)

    assert Candidate.objects.filter(organization=alice.organization).count() == 1


def test_changes_a_candidate_and_keeps_what_the_form_does_not_show(alice: User, client_of: ClientOf) -> None:
    carol = candidate(alice, "carol@client.example", "Carol", fields={"github": "old", "city": "Rome"})

    client_of(alice).post(
        reverse("sequences:edit_candidate", args=[carol.pk]),
        FORM | {"last_name": "Chen", "token_github": "", "token_city": "Roma"},
    )

    carol.refresh_from_db()
    assert (carol.last_name, carol.fields) == ("Chen", {"city": "Roma"})


def test_shows_sequences_emails_and_further_columns(alice: User, client_of: ClientOf, sequence: Sequence) -> None:
    carol = candidate(alice, "carol@client.example", "Carol", "Chen", fields={"github": "<b>carol</b>"})
    step = Step.objects.create(sequence=sequence, position=1, subject="Hello", body="x")
    enrollment = Enrollment.objects.create(
        sequence=sequence, candidate=carol, enrolled_by=alice, state="stopped", reason="replied"
    )
    mailbox = connected(alice, NOW)
    Message.objects.create(
        enrollment=enrollment, step=step, sequence=sequence, connection=mailbox, subject="Hello Carol", state="planned"
    )

    page = text_of(client_of(alice).get(reverse("sequences:candidate", args=[carol.pk])))

    assert "The candidate replied." in page
    assert "Hello Carol" in page
    assert "&lt;b&gt;carol&lt;/b&gt;" in page


def test_lets_nobody_write_any_more_and_takes_it_back(alice: User, client_of: ClientOf, sequence: Sequence) -> None:
    carol = candidate(alice, "Carol@client.example")
    Enrollment.objects.create(sequence=sequence, candidate=carol, enrolled_by=alice, due_at=NOW)
    client = client_of(alice)

    page = text_of(client.post(reverse("sequences:suppress_candidate", args=[carol.pk]), follow=True))
    client.post(reverse("sequences:suppress_candidate", args=[carol.pk]))
    suppression = Suppression.objects.get()
    enrollment = Enrollment.objects.get()
    client.post(reverse("sequences:allow_candidate", args=[carol.pk]))

    assert "Stopped in 1 sequence." in page
    assert (suppression.reason, suppression.created_by) == ("by_hand", alice)
    assert (enrollment.state, enrollment.reason, enrollment.due_at) == ("stopped", "suppressed", None)
    assert not Suppression.objects.exists()
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {"candidate.suppressed", "candidate.allowed_again"} <= actions


@pytest.mark.parametrize("reason", ["opt_out", "bounced"])
def test_never_takes_back_what_the_candidate_said(alice: User, client_of: ClientOf, reason: str) -> None:
    carol = candidate(alice, "carol@client.example")
    Suppression.objects.create(organization=alice.organization, email=carol.email, reason=reason)

    page = text_of(client_of(alice).post(reverse("sequences:allow_candidate", args=[carol.pk]), follow=True))

    assert "cannot be taken back" in page
    assert Suppression.objects.exists()


def test_enrolls_the_selected_from_the_list(alice: User, client_of: ClientOf, sequence: Sequence) -> None:
    first, _, third = crowd(alice, 3)

    response = client_of(alice).post(
        reverse("sequences:enroll_selected"),
        {"sequence": sequence.pk, "candidate": [first.pk, third.pk, "x"]},
        follow=True,
    )

    assert set(sequence.enrollments.values_list("candidate", flat=True)) == {first.pk, third.pk}
    assert "2 candidates enrolled." in text_of(response)


def test_asks_for_the_sequence_when_none_is_chosen(alice: User, client_of: ClientOf) -> None:
    response = client_of(alice).post(reverse("sequences:enroll_selected"), {"candidate": ["1"]}, follow=True)

    assert "Choose the sequence first." in text_of(response)


def test_offers_ones_own_open_sequences(
    alice: User, bob: User, ada: User, client_of: ClientOf, sequence: Sequence
) -> None:
    Sequence.objects.create(organization=bob.organization, owner=bob, name="Bobs")
    Sequence.objects.create(organization=alice.organization, owner=alice, name="Old", state="archived")
    candidate(alice, "carol@client.example")

    offered = {
        user.name: [each.name for each in client_of(user).get(reverse("sequences:candidates")).context["sequences"]]
        for user in (alice, ada)
    }

    assert offered == {"Alice Archer": ["Outreach"], "Ada Admin": ["Bobs", "Outreach"]}


def test_enrolls_from_the_sequences_page(alice: User, client_of: ClientOf, sequence: Sequence) -> None:
    first, second = crowd(alice, 2)
    client, address = client_of(alice), reverse("sequences:enroll", args=[sequence.pk])
    Enrollment.objects.create(sequence=sequence, candidate=first, enrolled_by=alice)

    page = text_of(client.get(address))
    client.post(address, {"candidate": [first.pk, second.pk]})

    assert f'value="{second.pk}"' in page
    assert f'name="candidate" value="{first.pk}"' not in page
    assert sequence.enrollments.count() == 2


# One bell for the workers, or two parts in the background.
@pytest.mark.parametrize(("batch", "queued"), [(10, 1), (2, 2)])
def test_enrolls_all_of_an_import_a_large_one_in_the_background(
    alice: User, client_of: ClientOf, sequence: Sequence, monkeypatch: pytest.MonkeyPatch, batch: int, queued: int
) -> None:
    monkeypatch.setattr(pages, "BATCH", batch)
    monkeypatch.setattr(importing, "BATCH", batch)
    upload = uploaded(alice, NOW, "a@client.example")
    CandidateImport.objects.update(state="done")
    crowd(alice, 3)
    Candidate.objects.update(last_import=upload)

    client_of(alice).post(reverse("sequences:enroll_import", args=[sequence.pk]), {"import": upload.pk})

    done = 0
    while task := OrmQ.objects.filter(pk__gt=done).order_by("pk").first():
        done = task.pk
        if task.task["func"] == "sequences.importing.tasks.enroll_all":
            importing.enroll_all(*task.task["args"])
    assert (OrmQ.objects.count(), sequence.enrollments.count()) == (queued, 3)


READ = {"candidate": 404, "edit_candidate": 404}
CHANGE = {"suppress_candidate": 404, "allow_candidate": 404}


@pytest.mark.parametrize(("name", "status"), [*READ.items(), *CHANGE.items()])
def test_is_not_there_for_another_organization(
    alice: User, mallory: User, client_of: ClientOf, name: str, status: int
) -> None:
    carol = candidate(alice, "carol@client.example")
    address = reverse(f"sequences:{name}", args=[carol.pk])

    response = client_of(mallory).post(address) if name in CHANGE else client_of(mallory).get(address)

    assert response.status_code == status


@pytest.mark.parametrize(("who", "status"), [("bob", 403), ("mallory", 404), ("ada", 302)])
def test_lets_only_its_owner_and_admins_enroll(
    request: pytest.FixtureRequest, alice: User, client_of: ClientOf, sequence: Sequence, who: str, status: int
) -> None:
    carol = candidate(alice, "carol@client.example")
    client = client_of(request.getfixturevalue(who))

    by_page = client.post(reverse("sequences:enroll", args=[sequence.pk]), {"candidate": carol.pk})
    by_list = client.post(reverse("sequences:enroll_selected"), {"candidate": carol.pk, "sequence": sequence.pk})

    assert (by_page.status_code, by_list.status_code) == (status, status)
    assert sequence.enrollments.exists() is (status == 302)


def test_enrolls_no_strangers_candidates(alice: User, mallory: User, client_of: ClientOf, sequence: Sequence) -> None:
    theirs = candidate(mallory, "carol@client.example")

    client_of(alice).post(reverse("sequences:enroll", args=[sequence.pk]), {"candidate": theirs.pk})

    assert not Enrollment.objects.exists()
