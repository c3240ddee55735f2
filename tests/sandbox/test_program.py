"""The program itself: where it listens, what it keeps, and whom it does not answer."""

import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import requests

from tests.sandbox.conftest import Graph
from tests.sandbox_tenant import SandboxTenant

ALICE = "alice@demo.example"


def _other_addresses() -> list[str]:
    """This machine's own addresses beside the loopback one."""
    found = {str(entry[4][0]) for entry in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outward:
        try:
            outward.connect(("192.0.2.1", 9))
            found.add(outward.getsockname()[0])
        except OSError:
            pass  # a machine without a network
    return sorted(address for address in found if not address.startswith("127."))


def test_listens_on_the_loopback_interface_alone(tenant: SandboxTenant) -> None:
    port = int(tenant.url.rpartition(":")[2])

    # 127.0.0.2 is this machine too, but another address: a program that listens everywhere would answer there.
    for address in ["127.0.0.2", *_other_addresses()]:
        with socket.socket() as knocking:
            knocking.settimeout(1)
            assert knocking.connect_ex((address, port)) != 0


@pytest.mark.parametrize("kill", [False, True], ids=["ended", "killed"])
def test_keeps_its_state(alice: Graph, tenant: SandboxTenant, kill: bool) -> None:
    tenant.consent_mode("demo.example", "off", workflow=True)
    tenant.away("bob@demo.example")
    tenant.turn(ALICE, settle_seconds=-1)
    sent_before = alice.draft("key-1")
    alice.send(sent_before["id"])
    tenant.settle(ALICE)
    waiting = alice.draft("key-2")
    alice.send(waiting["id"])
    tenant.fault(ALICE, "me", "status", status=507)

    tenant.restart(kill=kill)

    assert [mail.id for mail in tenant.messages(ALICE)] == [sent_before["id"]]
    assert tenant.submits(ALICE) == {"key-1": 1, "key-2": 1}
    assert alice.ask("GET", "/me").status_code == 507  # the token counts still, and the fault stands
    assert len(alice.by_key("key-1")) == 1
    assert tenant.settle(ALICE) == 1
    assert [mail.key for mail in tenant.messages(ALICE)] == ["key-1", "key-2"]
    new = alice.draft("key-3")
    assert new["id"] not in (sent_before["id"], waiting["id"])


def test_counts_what_was_submitted_although_it_was_deleted(alice: Graph, tenant: SandboxTenant) -> None:
    for _ in range(2):
        tenant.delete(ALICE, alice.sent(key="key-1").id)

    tenant.restart()

    assert tenant.messages(ALICE, "") == []
    assert tenant.submits(ALICE) == {"key-1": 2}


def test_forgets_everything_when_told_so(alice: Graph, tenant: SandboxTenant) -> None:
    alice.draft()
    tenant.fault(ALICE, "any", "status", times=-1)
    tenant.crowd(3)

    tenant.reset()

    assert tenant.messages(ALICE, "") == []
    assert alice.ask("GET", "/me").status_code == 401


def test_refuses_a_folder_that_another_uses(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--state", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert "http://localhost:" in first.stdout.readline()

        second = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

        first.terminate()
    assert second.returncode == 1
    assert second.stderr.startswith("Another sandbox keeps its state in")
    assert first.returncode == 0


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}], ids=["another name", "another site"]
)
def test_lets_no_other_site_press_its_buttons(tenant: SandboxTenant, headers: dict[str, str]) -> None:
    answer = requests.post(f"{tenant.url}/control/reset", headers=headers, timeout=30)

    assert answer.status_code == 403


def _spoken(tenant: SandboxTenant, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", int(tenant.url.rpartition(":")[2])), timeout=30) as peer:
        peer.sendall(sent)
        peer.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: peer.recv(65_536), b""))


@pytest.mark.parametrize(
    "sent",
    [b"hello\r\n\r\n", b"GET http:/ HTTP/1.1 x\r\n\r\n", b"GET / HTTP/1.1\r\nnothing\r\n\r\n"],
    ids=["no request", "too many words", "no header"],
)
def test_refuses_what_is_no_http(tenant: SandboxTenant, sent: bytes) -> None:
    assert _spoken(tenant, sent).startswith(b"HTTP/1.1 400 ")


def test_answers_several_requests_of_one_connection(tenant: SandboxTenant) -> None:
    one = b"GET /control/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    chunked = (
        b"POST /control/settle HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    )

    heard = _spoken(tenant, one + chunked + one)

    assert heard.count(b"HTTP/1.1 200 OK") == 3


def test_refuses_a_request_of_more_than_four_megabytes(alice: Graph) -> None:
    answer = alice.ask("POST", "/me/messages", {"subject": "x" * 5_000_000})

    assert answer.status_code == 413


def test_names_its_answers_as_graph_does(alice: Graph) -> None:
    answer = alice.ask("GET", "/me", headers={"client-request-id": "mine"})

    assert answer.headers["client-request-id"] == "mine"
    assert answer.headers["request-id"]
    assert answer.headers["Preference-Applied"] == 'IdType="ImmutableId"'
    assert abs(parsedate_to_datetime(answer.headers["Date"]) - datetime.now(UTC)) < timedelta(seconds=10)


def test_counts_what_each_mailbox_was_asked(alice: Graph, tenant: SandboxTenant) -> None:
    made = alice.draft("key-1")
    alice.send(made["id"])

    calls = tenant.calls(ALICE)

    assert [(call.call, call.status, call.key) for call in calls] == [
        ("create_draft", 201, "key-1"),
        ("send", 202, "key-1"),
    ]
    assert calls[0].started_at <= calls[0].ended_at <= calls[1].started_at
    assert tenant.calls(ALICE, "send", since=calls[1].started_at + 1) == []
    assert tenant.calls("bob@demo.example") == []
