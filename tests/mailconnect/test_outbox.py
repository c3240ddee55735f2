"""The door out: what each answer of Microsoft comes back as."""

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from accounts.models import User
from mailconnect.microsoft.errors import PermitLapsed
from mailconnect.microsoft.wire import Wire
from mailconnect.models import MailConnection
from mailconnect.outbox import Draft, Kind, Outbox, Outcome
from mailconnect.permission import Permit
from mailconnect.queue import Lease
from tests.sandbox_tenant import SandboxTenant
from tests.sequences.outreach import connected

pytestmark = pytest.mark.django_db(transaction=True)
ALICE = "alice@demo.example"


@pytest.fixture
def mailbox(alice: User, tenant: SandboxTenant, now: datetime) -> MailConnection:
    return connected(alice, tenant, now)


@pytest.fixture
def outbox(mailbox: MailConnection, tenant: SandboxTenant, now: datetime) -> Iterator[Outbox]:
    wire = Wire(f"{tenant.url}/v1.0", read_seconds=1.0)
    outbox = Outbox(wire=wire)
    outbox.admit([mailbox.pk], now)
    yield outbox
    wire.close()


@pytest.fixture
def put_draft(outbox: Outbox, mailbox: MailConnection) -> Callable[..., Outcome]:
    def put(age: float = 0.0, **fields: Any) -> Outcome:
        values = {
            "key": str(uuid.uuid4()),
            "to_address": "casey@talent.example",
            "to_name": "Casey",
            "subject": "Hello",
            "body_html": "<p>Hello</p>",
        }
        lease = Lease(mailbox.pk, uuid.uuid4(), 1, time.monotonic() - age)
        return outbox.draft(lease, Draft(**values | fields))

    return put


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        ({"kind": "throttled", "retry_after": "0.249"}, Kind.THROTTLED, "ApplicationThrottled"),
        ({"kind": "throttled", "retry_after": "7", "header": "retry-after"}, Kind.THROTTLED, "ApplicationThrottled"),
        ({"kind": "status", "status": 400}, Kind.REFUSED, "ErrorInvalidRequest"),
        ({"kind": "status", "status": 503}, Kind.UNKNOWN, "http_503"),
        ({"kind": "status", "status": 503, "retry_after": "3"}, Kind.THROTTLED, "ServiceUnavailable"),
        ({"kind": "status", "status": 500}, Kind.UNKNOWN, "http_500"),
        ({"kind": "html"}, Kind.UNKNOWN, "http_502"),
        ({"kind": "garbage"}, Kind.UNKNOWN, "garbage"),
        ({"kind": "empty"}, Kind.UNKNOWN, "garbage"),
        ({"kind": "lost_before"}, Kind.UNKNOWN, "connection_lost"),
        ({"kind": "lost_after"}, Kind.UNKNOWN, "connection_lost"),
        ({"kind": "silent"}, Kind.UNKNOWN, "timeout"),
    ],
)
def test_tells_what_surely_did_nothing_from_what_may_have_been_done(
    tenant: SandboxTenant, put_draft: Callable[..., Outcome], fault: dict[str, Any], kind: Kind, reason: str
) -> None:
    tenant.fault(ALICE, "create_draft", **fault)

    outcome = put_draft()

    assert (outcome.kind, outcome.reason) == (kind, reason)
    if kind == Kind.THROTTLED:
        assert outcome.delay == float(fault["retry_after"])


def test_never_repeats_a_call(tenant: SandboxTenant, put_draft: Callable[..., Outcome]) -> None:
    tenant.fault(ALICE, "create_draft", "lost_after", times=-1)

    put_draft()

    assert len(tenant.calls(ALICE, "create_draft")) == 1


def test_repeats_once_with_a_new_token_where_the_old_one_no_longer_counts(
    tenant: SandboxTenant, put_draft: Callable[..., Outcome]
) -> None:
    tenant.fault(ALICE, "create_draft", "unauthorized", times=2)

    assert put_draft().kind == Kind.UNREACHABLE
    assert put_draft().kind == Kind.DONE
    assert len(tenant.calls(ALICE, "token")) == 1


def test_says_when_only_the_owner_can_help(
    tenant: SandboxTenant, put_draft: Callable[..., Outcome], mailbox: MailConnection
) -> None:
    tenant.revoke_tokens(ALICE)

    assert put_draft().kind == Kind.RECONNECT
    mailbox.refresh_from_db()
    assert mailbox.state == MailConnection.State.RECONNECT


def test_says_when_only_the_operator_can_help(
    tenant: SandboxTenant, put_draft: Callable[..., Outcome], mailbox: MailConnection
) -> None:
    tenant.fault(ALICE, "create_draft", "unauthorized")
    tenant.expire_secret()

    assert put_draft().kind == Kind.OPERATOR
    mailbox.refresh_from_db()
    assert mailbox.state == MailConnection.State.CONNECTED


def test_begins_nothing_when_the_lease_is_nearly_over(tenant: SandboxTenant, put_draft: Callable[..., Outcome]) -> None:
    assert put_draft(age=55.0).kind == Kind.LAPSED
    assert tenant.calls(ALICE, "create_draft") == []


def test_finds_and_removes_drafts_by_their_key(
    tenant: SandboxTenant, outbox: Outbox, mailbox: MailConnection, put_draft: Callable[..., Outcome]
) -> None:
    key = str(uuid.uuid4())
    for _ in range(2):
        put_draft(key=key)
    put_draft()

    found = outbox.find(mailbox.pk, key).items

    assert [item.is_draft for item in found] == [True, True]
    lease = Lease(mailbox.pk, uuid.uuid4(), 1, time.monotonic())
    assert outbox.remove_drafts(lease, [item.id for item in found] + ["gone"]).kind == Kind.DONE
    assert len(tenant.messages(ALICE, "drafts")) == 1
    # Nobody can send them from there.
    assert [draft.to for draft in tenant.messages(ALICE, "deleteditems")] == [(), ()]


def test_removes_nothing_when_the_lease_is_over(
    tenant: SandboxTenant, outbox: Outbox, mailbox: MailConnection, put_draft: Callable[..., Outcome]
) -> None:
    """Whoever took over may have sent what was a draft when we looked."""
    (item,) = put_draft().items
    lost = Lease(mailbox.pk, uuid.uuid4(), 1, time.monotonic() - 55)

    assert outbox.remove_drafts(lost, [item.id]).kind == Kind.LAPSED
    assert len(tenant.messages(ALICE, "drafts")) == 1


def test_takes_nothing_but_a_permit_to_send() -> None:
    with pytest.raises(TypeError):
        Permit(
            ask=None,  # type: ignore[arg-type]
            permitted_at=None,  # type: ignore[arg-type]
            grant=None,
            grant_digest="",
            receipt_key="",
            receipt="",
            started=0.0,
            seal=object(),
        )


def test_asks_the_gate_when_the_request_is_ready_and_can_go_on_when_it_says_no(tenant: SandboxTenant) -> None:
    """Whatever lay between its word and the first byte, a worker could be frozen in."""
    wire = Wire(f"{tenant.url}/v1.0")
    happened: list[str] = []

    class Headers(dict[str, str]):
        def items(self) -> Any:
            happened.append("written")
            return super().items()

    def closed() -> None:
        happened.append("asked")
        raise PermitLapsed("permit_lapsed")

    try:
        wire.exchange("GET", "/me", {})  # from here on the connection is kept
        for _ in range(2):
            with pytest.raises(PermitLapsed):
                wire.exchange("GET", "/me", Headers(Accept="application/json"), gate=closed)
        answer = wire.exchange("GET", "/me", {}, gate=lambda: happened.append("open"))
    finally:
        wire.close()

    assert happened == ["written", "asked", "written", "asked", "open"]
    assert answer.status == 401
