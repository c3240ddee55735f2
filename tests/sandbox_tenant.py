"""The sandbox tenant as tests see it: a program of its own, spoken to over its control API."""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

START_SECONDS = 20
DEMO_TENANT = "11111111-1111-4111-8111-111111111111"
ELSEWHERE_TENANT = "22222222-2222-4222-8222-222222222222"
PERSONAL_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"


@dataclass(frozen=True)
class Mail:
    """A message in a mailbox of the sandbox. Times are text as Graph writes them."""

    id: str
    folder: str
    subject: str
    body: str  # HTML
    text: str
    sender: str
    to: tuple[str, ...]
    key: str  # the first extended property that an app has named
    is_draft: bool
    internet_message_id: str
    conversation_id: str
    in_reply_to: str
    references: tuple[str, ...]
    sent_at: str
    received_at: str
    submits: int  # accepted requests to send it
    headers: tuple[tuple[str, str], ...]
    message_class: str


@dataclass(frozen=True)
class Call:
    """A request that the sandbox was asked. Times in seconds since 1970; `status` 0 where no answer was given."""

    call: str
    method: str
    path: str
    status: int
    started_at: float
    ended_at: float
    key: str
    fault: str


@dataclass(frozen=True)
class SignedIn:
    address: str
    tenant_id: str
    object_id: str
    access_token: str
    refresh_token: str
    expires_in: int


class SandboxTenant:
    """A running `python -m sandbox`, and what a test may do to it."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._port = _free_port()
        self._session = requests.Session()
        self._session.trust_env = False
        self.url = f"http://127.0.0.1:{self._port}"
        self._program = self._begun()

    @classmethod
    def start(cls) -> "SandboxTenant":
        return cls(Path(tempfile.mkdtemp(prefix="sandbox-")))

    def stop(self) -> None:
        self._session.close()
        self._program.terminate()
        self._program.wait(10)
        shutil.rmtree(self._state, ignore_errors=True)

    def restart(self, *, kill: bool = False) -> None:
        """End it, the hard way if told so, and begin again with the state that it left."""
        self._program.kill() if kill else self._program.terminate()
        self._program.wait(10)
        self._program = self._begun()

    def reset(self) -> None:
        """Seed accounts with empty mailboxes, no faults, nothing consented; mail settles after 0.05 seconds."""
        self._control("POST", "reset")
        self.turn(settle_seconds=0.05)

    # --- Mail -------------------------------------------------------------------------------------------------------
    def messages(self, address: str, folder: str = "sentitems", key: str = "") -> list[Mail]:
        """In the order in which they came into the folder (a well-known name; empty for all folders)."""
        found = self._control("GET", f"mailbox/{address}/messages?folder={folder}&key={key}")
        return [_mail(content) for content in found]

    def sent(self, address: str, number: int, *, within: float = 30.0) -> list[Mail]:
        """Wait until `number` messages have come into Sent Items, or fail."""
        give_up_at = time.monotonic() + within
        while len(found := self.messages(address)) < number:
            assert time.monotonic() < give_up_at, f"{len(found)} of {number} were sent from {address}."
            time.sleep(0.02)
        return found

    def put(self, address: str, *, folder: str = "inbox", **content: Any) -> Mail:
        """A message that was always there: subject, body (HTML), to (addresses), `from` and more."""
        return _mail(self._control("POST", f"mailbox/{address}/messages", folder=folder, **content))

    def delete(self, address: str, message_id: str) -> None:
        """For good, as its owner may at any time."""
        self._control("DELETE", f"mailbox/{address}/messages/{message_id}")

    def reply_as_candidate(self, address: str, kind: str = "human", **details: Any) -> Mail:
        """Answer the newest mail that `address` has sent.

        `kind`: human, auto_reply, internal_auto_reply, bounce, delayed, unsubscribe. Details: which mail it answers
        (`key`, `to` or `id`), `text`, `address` and `name` of who answers, `folder` (inbox, junkemail), `status` of a
        bounce, `has_thread_headers`, `keeps_conversation`.
        """
        return _mail(self._control("POST", f"mailbox/{address}/incoming", kind=kind, **details))

    def settle(self, address: str = "") -> int:
        """Let leave Drafts at once what was submitted. How many did."""
        path = f"mailbox/{address}/settle" if address else "settle"
        return int(self._control("POST", path)["settled"])

    def forget_delta(self, address: str) -> None:
        """Delta links from before are answered 410."""
        self._control("POST", f"mailbox/{address}/forget-delta")

    # --- What happened ----------------------------------------------------------------------------------------------
    def calls(self, address: str, call: str = "", since: float = 0.0) -> list[Call]:
        """Requests for a mailbox in the order in which they came, token calls among them. `call` as in `fault`."""
        found = self._control("GET", f"mailbox/{address}/calls?call={call}&since={since}")
        return [Call(**{name: content[name] for name in Call.__dataclass_fields__}) for content in found]

    def submits(self, address: str = "") -> dict[str, int]:
        """Per key, how many requests to send it were accepted: in one mailbox or in all."""
        return dict(self._control("GET", f"mailbox/{address}/submits" if address else "submits"))

    # --- How a mailbox is -------------------------------------------------------------------------------------------
    def set_settings(self, address: str, **settings: Any) -> None:
        """Mailbox settings in Graph's own shape: timeZone, workingHours, automaticRepliesSetting…"""
        self._control("POST", f"mailbox/{address}/settings", **settings)

    def away(self, address: str, *, since: datetime | None = None, until: datetime | None = None) -> None:
        """Automatic replies on; scheduled where both ends are given."""
        replies: dict[str, Any] = {"status": "alwaysEnabled"}
        if since and until:
            replies = {
                "status": "scheduled",
                "scheduledStartDateTime": _graph_moment(since),
                "scheduledEndDateTime": _graph_moment(until),
            }
        self.set_settings(address, automaticRepliesSetting=replies)

    def back(self, address: str) -> None:
        """Automatic replies off."""
        self.set_settings(address, automaticRepliesSetting={"status": "disabled"})

    def turn(self, address: str = "", **knobs: Any) -> None:
        """Turn knobs of one mailbox or of all: settle_seconds, search_lag_seconds, id_changes_on_send,
        reply_ignores_message, repeated_send, calls_at_once, sends_per_minute, bouncing, token_seconds…
        `sandbox/world.py` lists them.
        """
        self._control("POST", f"mailbox/{address}/knobs" if address else "knobs", **knobs)

    # --- Faults -----------------------------------------------------------------------------------------------------
    def fault(self, address: str, call: str, kind: str, *, times: int = 1, skip: int = 0, **details: Any) -> None:
        """The next `times` calls (-1: all), after `skip` good ones, go wrong.

        `call`: any, me, settings, folder, list, get, delta, create_draft, create_reply, patch, move, delete, send,
        token. `kind`: lost_before, lost_after, silent, silent_after, throttled, status, status_after, html,
        html_after, garbage, strange, empty, slow, unauthorized, claims. Details: `status`, `code`, `seconds`,
        `retry_after` (text) and `header` (how Retry-After is spelled).
        """
        self._control("POST", f"mailbox/{address}/faults", call=call, kind=kind, times=times, skip=skip, **details)

    def clear_faults(self, address: str = "") -> None:
        self._control("DELETE", f"mailbox/{address}/faults" if address else "faults")

    # --- Accounts and the app ---------------------------------------------------------------------------------------
    def sign_in_tokens(self, address: str, scopes: Sequence[str] | None = None) -> SignedIn:
        """Tokens for an account without a walk through the pages."""
        given = {"scopes": list(scopes)} if scopes is not None else {}
        return SignedIn(**self._control("POST", f"mailbox/{address}/tokens", **given))

    def crowd(self, number: int, *, prefix: str = "sender") -> list[SignedIn]:
        """Many more members with mailboxes, `sender1@demo.example` and so on, signed in."""
        return [SignedIn(**one) for one in self._control("POST", "accounts/crowd", number=number, prefix=prefix)]

    def revoke_tokens(self, address: str, *, code: int = 0, access: bool = True) -> None:
        """Refresh tokens no longer count (50173, or what `code` says), nor access tokens unless `access` is False."""
        self._control("POST", f"mailbox/{address}/revoke", code=code, access=access)

    def change_account(self, address: str, **changes: Any) -> None:
        """`stopped_with` and `refused_with` (AADSTS codes, 0 for none), `only_scopes`, `consented`, `aliases`,
        `is_admin`, and `claims`: what the id_token says otherwise (None: it leaves that out).
        """
        self._control("POST", f"mailbox/{address}/account", **changes)

    def consent_mode(self, tenant: str, mode: str, *, workflow: bool = False) -> None:
        """What people may consent to: open, microsoft_managed or off; `workflow`: they may ask an administrator."""
        self._control("POST", f"tenants/{tenant}", consent=mode, has_request_workflow=workflow)

    def approval_requests(self) -> list[dict[str, Any]]:
        """Who has asked an administrator, and why: `address` and `why`."""
        return list(self._control("GET", "approvals"))

    def approve(self, tenant: str) -> None:
        """What an administrator does: grant all for everybody, which settles what was asked for."""
        self._control("POST", f"tenants/{tenant}/approve")

    def expire_secret(self) -> None:
        self.change_app(secret_expired=True)

    def change_app(self, **changes: Any) -> None:
        """Among others `secret`, `secret_expired`, `single_tenant`, `redirect_uris`."""
        self._control("POST", "app", **changes)

    # --- The wire ---------------------------------------------------------------------------------------------------
    def _control(self, method: str, path: str, **content: Any) -> Any:
        answer = self._session.request(method, f"{self.url}/control/{path}", json=content or None, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    def _begun(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "sandbox", "--port", str(self._port), "--state", str(self._state)]
        program = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        give_up_at = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up_at and program.poll() is None:
            try:
                self._control("GET", "health")
            except requests.ConnectionError:
                time.sleep(0.05)
            else:
                return program
        program.kill()
        raise RuntimeError("The sandbox did not start.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _mail(content: dict[str, Any]) -> Mail:
    known = {name: content[name] for name in Mail.__dataclass_fields__ if name in content}
    return Mail(
        **known
        | {
            "sender": content["from"],
            "to": tuple(content["to"]),
            "references": tuple(content["references"]),
            "submits": len(content["submits"]),
            "headers": tuple((entry["name"], entry["value"]) for entry in content["headers"]),
        }
    )


def _graph_moment(moment: datetime) -> dict[str, str]:
    return {"dateTime": f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.0000000", "timeZone": "UTC"}
