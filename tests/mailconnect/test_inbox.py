"""What has come into a mailbox since the last look."""

import json
from datetime import datetime, timedelta

import pytest
from pytest_django.fixtures import Settings

from accounts.models import User
from mailconnect import inbox
from mailconnect.inbox import Letter, look
from mailconnect.microsoft.errors import OutcomeUnknown
from mailconnect.microsoft.graph import GraphClient, graph_root
from mailconnect.microsoft.wire import Answer, Wire
from mailconnect.models import InboxCursor, MailConnection
from tests.sandbox_tenant import SandboxTenant
from tests.sequences import outreach

LATER = timedelta(minutes=2)
CLEO = "cleo@candidate.example"


@pytest.fixture
def mailbox(tenant: SandboxTenant, alice: User, now: datetime) -> MailConnection:
    return outreach.connected(alice, tenant, now)


def come_in(tenant: SandboxTenant, subject: str, *, folder: str = "inbox", author: str = CLEO) -> None:
    tenant.put("alice@demo.example", folder=folder, subject=subject, body=f"<p>{subject}</p>", **{"from": author})


def subjects(mailbox: MailConnection, now: datetime, *, since: datetime | None = None) -> list[str]:
    """What one look hands over."""
    found: list[Letter] = []
    assert look(mailbox.pk, since=since or now - timedelta(days=1), now=now, take=found.append)
    return [letter.subject for letter in found]


def test_hands_over_each_email_of_inbox_and_junk_once(
    tenant: SandboxTenant, mailbox: MailConnection, now: datetime
) -> None:
    come_in(tenant, "One")
    come_in(tenant, "Two", folder="junkemail")
    first = subjects(mailbox, now)
    come_in(tenant, "Three")

    assert first == ["One", "Two"]
    assert subjects(mailbox, now + LATER) == ["Three"]
    assert subjects(mailbox, now + 2 * LATER) == []


def test_hands_over_no_own_emails_and_no_meetings(
    tenant: SandboxTenant, mailbox: MailConnection, now: datetime
) -> None:
    come_in(tenant, "To myself", author="Alice@demo.example")
    tenant.put(mailbox.address, subject="Meeting", message_class="IPM.Schedule.Meeting.Request", **{"from": CLEO})

    assert subjects(mailbox, now) == []


def test_reads_the_text_of_no_email_that_nobody_asks_for(
    tenant: SandboxTenant, mailbox: MailConnection, now: datetime
) -> None:
    come_in(tenant, "Private")

    subjects(mailbox, now)

    assert len(tenant.calls(mailbox.address, "get")) == 1  # its headers


def test_shows_headers_class_text_and_whole_of_an_email(
    tenant: SandboxTenant, mailbox: MailConnection, now: datetime
) -> None:
    copy = tenant.put(mailbox.address, folder="sentitems", subject="A role", body="<p>Hi</p>", to=[CLEO])
    tenant.reply_as_candidate(mailbox.address, "internal_auto_reply", text="I am away.")
    found: list[tuple[Letter, str, bytes]] = []

    look(
        mailbox.pk,
        since=now - timedelta(days=1),
        now=now,
        take=lambda letter: found.append((letter, letter.read_text(), letter.read_mime())),
    )

    [(letter, text, mime)] = found
    assert (letter.from_address, letter.subject) == (CLEO, "Automatic reply: A role")
    assert letter.item_class == "IPM.Note.Rules.OofTemplate.Microsoft"
    assert letter.header("auto-submitted") == "auto-generated"
    assert letter.answers == (copy.internet_message_id,)
    assert text.strip() == "I am away."
    assert b"In-Reply-To" in mime


def test_reads_a_mailbox_of_many_pages_in_several_looks(
    tenant: SandboxTenant, mailbox: MailConnection, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "PAGES_PER_LOOK", 1)
    for number in range(53):
        come_in(tenant, str(number))

    first = subjects(mailbox, now)

    assert len(first) == 50
    assert len(set(first + subjects(mailbox, now))) == 53  # due again at once


def test_waits_two_minutes_between_two_looks(mailbox: MailConnection, now: datetime) -> None:
    subjects(mailbox, now)

    assert not look(mailbox.pk, since=now, now=now + timedelta(seconds=119), take=print)
    assert look(mailbox.pk, since=now, now=now + timedelta(seconds=120), take=print)


def test_lets_one_worker_look_at_a_time(mailbox: MailConnection, tenant: SandboxTenant, now: datetime) -> None:
    come_in(tenant, "One")
    nested: list[bool] = []

    look(
        mailbox.pk,
        since=now - timedelta(days=1),
        now=now,
        take=lambda letter: nested.append(look(mailbox.pk, since=now, now=now + LATER, take=print)),
    )

    assert nested == [False]


def test_takes_over_from_a_worker_that_died(mailbox: MailConnection, tenant: SandboxTenant, now: datetime) -> None:
    come_in(tenant, "One")
    InboxCursor.objects.create(connection=mailbox, due_at=now, claimed_until=now + inbox.CLAIM)

    assert not look(mailbox.pk, since=now - timedelta(days=1), now=now + LATER, take=print)
    assert subjects(mailbox, now + inbox.CLAIM, since=now - timedelta(days=1)) == ["One"]


def test_begins_anew_from_the_last_look_when_microsoft_forgot_its_place(
    tenant: SandboxTenant, mailbox: MailConnection, now: datetime
) -> None:
    come_in(tenant, "One")
    subjects(mailbox, now)
    tenant.forget_delta(mailbox.address)
    come_in(tenant, "Two")

    assert subjects(mailbox, now + LATER) == ["One", "Two"]  # with some overlap
    assert subjects(mailbox, now + 2 * LATER) == []


def test_never_follows_a_stored_link_to_another_host(
    tenant: SandboxTenant, mailbox: MailConnection, now: datetime
) -> None:
    come_in(tenant, "One")
    foreign = f"{tenant.url}.evil.example/v1.0/me/messages"
    InboxCursor.objects.create(connection=mailbox, due_at=now, inbox_link=foreign, junk_link="http://169.254.169.254/")

    assert subjects(mailbox, now) == ["One"]


class ForeignWire(Wire):
    """Answers each listing with a link to somewhere else."""

    def exchange(self, *request: object, **gates: object) -> Answer:
        link = graph_root().replace("://", "://graph.example@") + "/me/messages/delta?$skiptoken=x"
        return Answer(200, {}, json.dumps({"value": [], "@odata.nextLink": link}).encode())


def test_refuses_an_answer_that_leads_to_another_host(settings: Settings, now: datetime) -> None:
    settings.SANDBOX_URL = "http://127.0.0.1:1"

    with pytest.raises(OutcomeUnknown):
        GraphClient(ForeignWire(graph_root()), 1, "token").arrivals("inbox", since=now)


def test_passes_over_an_email_that_is_gone_when_it_is_opened(
    tenant: SandboxTenant, mailbox: MailConnection, now: datetime
) -> None:
    come_in(tenant, "One")
    come_in(tenant, "Two")
    tenant.fault(mailbox.address, "get", "status", status=404, code="ErrorItemNotFound")

    assert subjects(mailbox, now) == ["Two"]


def test_passes_over_an_email_that_breaks_its_reader(
    tenant: SandboxTenant, mailbox: MailConnection, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    come_in(tenant, "Secret one")
    come_in(tenant, "Two")
    found: list[str] = []

    def take(letter: Letter) -> None:
        if letter.subject.startswith("Secret"):
            raise ValueError
        found.append(letter.subject)

    assert look(mailbox.pk, since=now - timedelta(days=1), now=now, take=take)

    assert found == ["Two"]
    assert "could not be read" in caplog.text
    assert "Secret" not in caplog.text
    assert CLEO not in caplog.text


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        ({"kind": "throttled", "retry_after": "600"}, 600),
        ({"kind": "status", "status": 503}, 120),
        ({"kind": "lost_after"}, 120),
    ],
)
def test_loses_nothing_and_looks_later_when_microsoft_does_not_answer(
    tenant: SandboxTenant, mailbox: MailConnection, now: datetime, fault: dict[str, str], seconds: int
) -> None:
    come_in(tenant, "One")
    come_in(tenant, "Two")
    tenant.fault(mailbox.address, "get", skip=1, **fault)  # type: ignore[arg-type]
    found: list[str] = []

    looked = look(mailbox.pk, since=now - timedelta(days=1), now=now, take=lambda letter: found.append(letter.subject))

    assert not looked
    cursor = InboxCursor.objects.get()
    assert (cursor.due_at, cursor.failures, cursor.claimed_until) == (now + timedelta(seconds=seconds), 1, None)
    assert [*found, *subjects(mailbox, cursor.due_at, since=now - timedelta(days=1))] == ["One", "One", "Two"]


def test_looks_less_often_the_longer_it_fails(tenant: SandboxTenant, mailbox: MailConnection, now: datetime) -> None:
    tenant.fault(mailbox.address, "delta", "status", status=503, times=-1)
    pauses = []

    for _ in range(7):
        look(mailbox.pk, since=now, now=now, take=print)
        due_at = InboxCursor.objects.get().due_at
        pauses.append((due_at - now).total_seconds() / 60)
        now = due_at

    assert pauses == [2, 4, 8, 16, 32, 60, 60]


def test_renews_an_access_token_that_graph_no_longer_takes(
    tenant: SandboxTenant, mailbox: MailConnection, now: datetime
) -> None:
    come_in(tenant, "One")
    tenant.fault(mailbox.address, "delta", "unauthorized")

    assert subjects(mailbox, now) == ["One"]
    assert len(tenant.calls(mailbox.address, "token")) == 1


def test_asks_for_reconnecting_when_the_access_token_cannot_be_renewed(
    tenant: SandboxTenant, mailbox: MailConnection, now: datetime
) -> None:
    tenant.revoke_tokens(mailbox.address)

    assert not look(mailbox.pk, since=now - timedelta(days=1), now=now, take=print)
    mailbox.refresh_from_db()
    assert mailbox.state == MailConnection.State.RECONNECT


def test_finds_what_a_rule_moved_elsewhere_within_half_an_hour(
    tenant: SandboxTenant, mailbox: MailConnection, now: datetime
) -> None:
    come_in(tenant, "At first", folder="archive")
    assert subjects(mailbox, now) == ["At first"]
    come_in(tenant, "Moved", folder="archive")
    come_in(tenant, "Deleted", folder="deleteditems")
    come_in(tenant, "Sent from another address", folder="sentitems", author="archer@other.example")

    assert subjects(mailbox, now + LATER) == []
    assert sorted(subjects(mailbox, now + inbox.SWEEP_EVERY)) == ["At first", "Deleted", "Moved"]  # with some overlap


def test_goes_on_with_a_long_sweep_where_it_stopped(
    tenant: SandboxTenant, mailbox: MailConnection, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "PAGES_PER_SWEEP", 1)
    for number in range(103):
        come_in(tenant, str(number), folder="archive")

    found = subjects(mailbox, now)
    assert len(found) == 100

    assert len(set(found + subjects(mailbox, now + LATER))) == 103
