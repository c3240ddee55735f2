"""Faults on demand: what the caller sees, and what was done all the same."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.sandbox.conftest import Graph, code_of
from tests.sandbox_tenant import SandboxTenant

ALICE = "alice@demo.example"


@pytest.mark.parametrize(
    ("kind", "details", "done"),
    [
        ("lost_before", {}, False),
        ("lost_after", {}, True),
        ("silent", {}, False),
        ("silent_after", {}, True),
    ],
)
def test_leave_a_sender_without_an_answer(
    alice: Graph, tenant: SandboxTenant, kind: str, details: dict[str, Any], done: bool
) -> None:
    made = alice.draft("key-1")
    tenant.fault(ALICE, "send", kind, **details)

    with pytest.raises((requests.ConnectionError, requests.ReadTimeout)):
        alice.send(made["id"], timeout=0.5)

    assert tenant.submits(ALICE) == ({"key-1": 1} if done else {})
    [call] = tenant.calls(ALICE, "send")
    assert (call.status, call.fault) == (0, kind)
    assert alice.send(made["id"]).status_code == 202


@pytest.mark.parametrize(
    ("kind", "details", "status", "body", "done"),
    [
        ("status", {"status": 500}, 500, "ErrorInternalServerTransientError", False),
        ("status", {"status": 502}, 502, "UnknownError", False),
        ("status", {"status": 503, "retry_after": "7"}, 503, "ServiceUnavailable", False),
        ("status", {"status": 504}, 504, "UnknownError", False),
        ("status", {"status": 507}, 507, "ErrorQuotaExceeded", False),
        ("status", {"status": 400, "code": "ErrorMessageSubmissionBlocked"}, 400, "SubmissionBlocked", False),
        ("status_after", {"status": 504}, 504, "UnknownError", True),
        ("html", {}, 502, "Bad Gateway", False),
        ("html", {"status": 200}, 200, "Bad Gateway", False),
        ("html_after", {}, 502, "Bad Gateway", True),
        ("garbage", {}, 202, '{"value": [', True),
        ("strange", {}, 202, "hello", True),
        ("empty", {}, 202, "", True),
        ("throttled", {}, 429, "ApplicationThrottled", False),
        ("unauthorized", {}, 401, "InvalidAuthenticationToken", False),
        ("claims", {}, 401, "InvalidAuthenticationToken", False),
        ("slow", {"seconds": 0.1}, 202, "", True),
    ],
)
def test_answer_otherwise(
    alice: Graph, tenant: SandboxTenant, kind: str, details: dict[str, Any], status: int, body: str, done: bool
) -> None:
    made = alice.draft("key-1")
    tenant.fault(ALICE, "send", kind, **details)

    answer = alice.send(made["id"])

    assert answer.status_code == status
    assert body in answer.text
    assert answer.headers.get("Retry-After") == details.get("retry_after")
    assert ("claims=" in answer.headers.get("WWW-Authenticate", "")) == (kind == "claims")
    assert tenant.submits(ALICE) == ({"key-1": 1} if done else {})


@pytest.mark.parametrize(("header", "value"), [("retry-after", "0.249"), ("Retry-After", "12")])
def test_ask_for_a_pause_as_graph_spells_it(alice: Graph, tenant: SandboxTenant, header: str, value: str) -> None:
    tenant.fault(ALICE, "me", "throttled", retry_after=value, header=header)

    answer = alice.ask("GET", "/me")

    assert header in list(answer.headers)
    assert answer.headers[header] == value


def test_come_after_some_good_calls_and_as_often_as_told(alice: Graph, tenant: SandboxTenant) -> None:
    tenant.fault(ALICE, "me", "status", status=503, skip=1, times=2)

    assert [alice.ask("GET", "/me").status_code for _ in range(4)] == [200, 503, 503, 200]


def test_stay_until_they_are_cleared(alice: Graph, tenant: SandboxTenant) -> None:
    tenant.fault(ALICE, "any", "status", status=503, times=-1)
    assert {alice.ask("GET", "/me").status_code for _ in range(3)} == {503}

    tenant.clear_faults(ALICE)

    assert alice.ask("GET", "/me").status_code == 200


def test_are_one_mailboxs_own(alice: Graph, tenant: SandboxTenant) -> None:
    tenant.fault("bob@demo.example", "any", "status", times=-1)

    assert alice.ask("GET", "/me").status_code == 200


def test_throttle_more_than_four_calls_at_once(alice: Graph, tenant: SandboxTenant) -> None:
    askers = [Graph(tenant, ALICE) for _ in range(6)]
    tenant.turn(ALICE, latency_seconds=1.0)

    with ThreadPoolExecutor(6) as threads:
        statuses = list(threads.map(lambda asker: asker.ask("GET", "/me").status_code, askers))

    assert sorted(statuses) == [200, 200, 200, 200, 429, 429]


def test_include_tokens_that_no_longer_count(alice: Graph, tenant: SandboxTenant) -> None:
    tenant.revoke_tokens(ALICE)

    assert code_of(alice.ask("GET", "/me")) == (401, "InvalidAuthenticationToken")


def test_include_tokens_that_are_too_narrow(alice: Graph, tenant: SandboxTenant) -> None:
    made = alice.draft()
    narrow = tenant.sign_in_tokens(ALICE, ["Mail.ReadWrite"])
    alice.session.headers["Authorization"] = f"Bearer {narrow.access_token}"

    assert code_of(alice.send(made["id"])) == (403, "ErrorAccessDenied")


def test_include_tokens_that_expire_on_the_way(tenant: SandboxTenant) -> None:
    tenant.turn(ALICE, token_seconds=2)
    alice = Graph(tenant, ALICE)
    assert alice.ask("GET", "/me").status_code == 200

    tenant.turn(ALICE, latency_seconds=2.1)
    alice.ask("GET", "/me")

    assert alice.ask("GET", "/me").status_code == 401


@pytest.mark.parametrize("address", ["erin@demo.example", "gus@partner.example"])
def test_include_accounts_without_a_mailbox(tenant: SandboxTenant, address: str) -> None:
    graph = Graph(tenant, address)

    assert graph.get("/me")["mail"] is None
    assert code_of(graph.ask("GET", "/me/mailFolders/inbox")) == (404, "MailboxNotEnabledForRESTAPI")
    assert code_of(graph.ask("GET", "/me/mailboxSettings")) == (404, "MailboxNotEnabledForRESTAPI")
