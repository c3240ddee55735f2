"""A stand-in for Graph that is as fast as plain Python allows: drafts, send, and the searches that settling needs.

`python -m bench.standin --port 0` prints `ready PORT` and serves until its standard input closes. It listens on
loopback only. Faults, delays and latency are set over `POST /control/faults`; `GET /control/mailboxes` tells what is
truly in the mailboxes, for the oracle of the crash test.
"""

import argparse
import asyncio
import itertools
import json
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote

KEY = re.compile(r"ep/value eq '([0-9a-f-]{36})'")
SINCE = re.compile(r"sentDateTime ge ([0-9T:.+-]+Z?)")
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
BEARER = re.compile(rb"authorization: *bearer ([^\r]+)", re.IGNORECASE)
REASONS = {200: "OK", 201: "Created", 202: "Accepted", 204: "No Content"}
FOREVER = 3600.0


@dataclass
class Faults:
    """How likely each fault is, per request; and how slow everything is (seconds)."""

    latency: float = 0.0
    settle: float = 0.0  # from acceptance to Sent Items, at most
    lag: float = 0.0  # until the search sees a new draft or a sent copy, at most
    new_id_on_send: float = 0.0
    kinds: dict[str, float] = field(default_factory=dict)  # of FAULTS, by likelihood
    only: str = ""  # the mailbox that they concern; empty: all
    token_life: float = 0.0  # of the access tokens that are given out here; 0: for ever
    revoked: list[str] = field(default_factory=list)  # mailboxes that are given none any more

    def choose(self, mailbox: str, chance: random.Random) -> str:
        if not self.kinds or (self.only and mailbox != self.only):
            return ""
        point = chance.random()
        for kind, likelihood in self.kinds.items():
            point -= likelihood
            if point < 0:
                return kind
        return ""


@dataclass(slots=True)
class Item:
    id: str
    mailbox: str
    key: str
    to: str
    subject: str
    visible_at: float
    sent_at: float = 0.0  # when it is, or will be, in Sent Items; 0: never submitted
    submissions: int = 0
    is_armed: bool = True  # it has its recipients

    def is_draft(self, now: float) -> bool:
        return not self.sent_at or self.sent_at > now

    def shape(self, now: float) -> dict[str, Any]:
        draft = self.is_draft(now)
        return {
            "id": self.id,
            "isDraft": draft,
            "internetMessageId": f"<{self.key or self.id}@standin.example>",
            "conversationId": f"thread-{self.key or self.id}",
            "sentDateTime": None if draft else _iso(self.sent_at),
            "createdDateTime": _iso(self.visible_at),
            "subject": self.subject,
            "toRecipients": [{"emailAddress": {"address": self.to, "name": ""}}] if self.is_armed else [],
            "body": {"contentType": "html", "content": "<html><body></body></html>"},
            "singleValueExtendedProperties": [{"id": "key", "value": self.key}] if self.key else [],
        }


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str  # with the query, decoded
    mailbox: str
    body: bytes
    token_from: float = 0.0  # when its token was given out; 0: it was made elsewhere, and lives for ever


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content: bytes = b""
    headers: str = ""
    kind: str = "application/json"

    def encoded(self) -> bytes:
        reason = REASONS.get(self.status, "Error")
        head = f"HTTP/1.1 {self.status} {reason}\r\nContent-Type: {self.kind}\r\n{self.headers}"
        return f"{head}Content-Length: {len(self.content)}\r\n\r\n".encode() + self.content


def _json(status: int, content: Any) -> Answer:
    return Answer(status, json.dumps(content).encode())


def _error(status: int, code: str, headers: str = "") -> Answer:
    return Answer(status, json.dumps({"error": {"code": code, "message": code}}).encode(), headers)


HTML = Answer(502, b"<html><body>Bad gateway</body></html>", kind="text/html")
# What is answered instead of doing what was asked.
NOT_DONE: dict[str, Answer | None] = {
    "429": _error(429, "ApplicationThrottled"),
    "429 with Retry-After": _error(429, "ApplicationThrottled", "Retry-After: 1\r\n"),
    "503 with Retry-After": _error(503, "serviceNotAvailable", "Retry-After: 1\r\n"),
    "500": _error(500, "generalException"),
    "502 as HTML": HTML,
    "401": _error(401, "InvalidAuthenticationToken"),
    "reset before acceptance": None,
}
# What is answered although it was done. None: the connection is reset.
DONE: dict[str, Answer | None] = {
    "503 after acceptance": _error(503, "serviceNotAvailable"),
    "504 after acceptance": _error(504, "gatewayTimeout"),
    "reset after acceptance": None,
}
SILENT = {"half-open before": False, "half-open after": True}  # whether it is done; never answered
FAULTS = (*NOT_DONE, *DONE, *SILENT)


class Mailboxes:
    """What is in the mailboxes, and how Microsoft behaves."""

    def __init__(self, seed: int = 1) -> None:
        self.faults = Faults()
        self.chance = random.Random(seed)
        self.items: dict[str, Item] = {}
        self.by_key: dict[tuple[str, str], list[Item]] = defaultdict(list)
        self.sent: dict[str, list[Item]] = defaultdict(list)
        self.numbers = itertools.count(1)
        self.counts: Counter[str] = Counter()
        self.sends: list[tuple[str, str, float]] = []  # mailbox, key, arrival: of each request to send
        self.running: Counter[str] = Counter()
        self.at_once: dict[str, int] = defaultdict(int)  # the most requests at once, per mailbox

    def do(self, request: Request) -> Answer:
        if request.path.startswith("/organizations/"):
            return self._sign_in(request)
        life = self.faults.token_life
        if request.token_from and life and time.time() > request.token_from + life:
            return _error(401, "InvalidAuthenticationToken")
        parts = request.path.partition("?")[0].split("/")[3:]  # behind /v1.0/me
        match request.method, parts:
            case "POST", ["messages"]:
                return self._create(request)
            case "POST", ["messages", item_id, "send"]:
                return self._send(request, item_id)
            case "POST", ["messages", item_id, "createReply"]:
                return self._create(request) if item_id in self.items else _error(404, "ErrorItemNotFound")
            case "GET", ["messages"]:
                return self._find(request)
            case "GET", ["mailFolders", folder, "messages"]:
                return self._list(request, folder)
            case (("GET" | "PATCH" | "DELETE"), ["messages", item_id]):
                return self._one(request, item_id)
        return _error(404, "ErrorItemNotFound")

    def _sign_in(self, request: Request) -> Answer:
        """A refresh token is a mailbox's name; an access token says too when it was given out."""
        if request.method == "GET":
            address = "https://login.microsoftonline.com/organizations/oauth2/v2.0/"
            return _json(200, {"token_endpoint": address + "token", "authorization_endpoint": address + "authorize"})
        mailbox = parse_qs(request.body.decode())["refresh_token"][0]
        if mailbox in self.faults.revoked:
            return _json(400, {"error": "invalid_grant", "error_codes": [50173], "error_description": "revoked"})
        self.counts["tokens"] += 1
        access = f"{mailbox}/{time.time()}"
        return _json(200, {"access_token": access, "refresh_token": mailbox, "token_type": "Bearer", "expires_in": 301})

    def _create(self, request: Request) -> Answer:
        content = json.loads(request.body or b"{}")
        content = content.get("message", content)
        recipients = content.get("toRecipients") or [{"emailAddress": {"address": ""}}]
        properties = content.get("singleValueExtendedProperties") or [{"value": ""}]
        now = time.time()
        item = Item(
            id=f"AAMk{next(self.numbers):012d}",
            mailbox=request.mailbox,
            key=properties[0]["value"],
            to=recipients[0]["emailAddress"]["address"],
            subject=content.get("subject", ""),
            visible_at=now + self.chance.random() * self.faults.lag,
        )
        self.items[item.id] = item
        self.by_key[item.mailbox, item.key].append(item)
        self.counts["drafts"] += 1
        return _json(201, item.shape(now))

    def _send(self, request: Request, item_id: str) -> Answer:
        """A second request for the same draft is a second mail: no page of Microsoft's says otherwise."""
        item = self.items.get(item_id)
        if item is None or item.mailbox != request.mailbox:
            return _error(404, "ErrorItemNotFound")
        if not item.is_armed:
            return _error(400, "ErrorInvalidRecipients")
        now = time.time()
        item.submissions += 1
        item.sent_at = item.sent_at or now + self.chance.random() * self.faults.settle
        item.visible_at = item.sent_at + self.chance.random() * self.faults.lag if self.faults.lag else item.visible_at
        if self.chance.random() < self.faults.new_id_on_send:
            del self.items[item.id]
            item.id = f"AAMkX{next(self.numbers):011d}"
            self.items[item.id] = item
        self.sent[item.mailbox].append(item)
        self.counts["sends"] += 1
        return Answer(202)

    def _find(self, request: Request) -> Answer:
        found = KEY.search(request.path)
        items = self.by_key.get((request.mailbox, found[1]), []) if found else []
        return self._listed(items)

    def _list(self, request: Request, folder: str) -> Answer:
        now = time.time()
        since = SINCE.search(request.path)
        after = datetime.fromisoformat(since[1]).timestamp() if since else 0.0
        if folder == "drafts":
            mine = [item for item in self.items.values() if item.mailbox == request.mailbox and item.is_draft(now)]
            return self._listed(mine)
        newest = [
            item for item in self.sent[request.mailbox][-200:] if not item.is_draft(now) and item.sent_at >= after
        ]
        return self._listed(newest[-100:] if folder == "sentitems" else [])

    def _listed(self, items: list[Item]) -> Answer:
        now = time.time()
        return _json(200, {"value": [item.shape(now) for item in reversed(items) if item.visible_at <= now]})

    def _one(self, request: Request, item_id: str) -> Answer:
        item = self.items.get(item_id)
        if item is None or item.mailbox != request.mailbox:
            return _error(404, "ErrorItemNotFound")
        if request.method == "DELETE":
            return Answer(204)  # it is in Deleted Items then, with the same id
        if request.method == "PATCH":
            content = json.loads(request.body)
            if "toRecipients" in content:
                if not item.is_draft(time.time()):
                    return _error(400, "ErrorInvalidPropertySet")
                item.is_armed = bool(content["toRecipients"])
                if item.is_armed:
                    item.to = content["toRecipients"][0]["emailAddress"]["address"]
            item.subject = content.get("subject", item.subject)
        return _json(200, item.shape(time.time()))

    # --- What the oracle asks ---------------------------------------------------------------------------------

    def control(self, request: Request) -> Answer:
        match request.method, request.path:
            case "POST", "/control/faults":
                self.faults = Faults(**json.loads(request.body))
                return Answer(204)
            case "POST", "/control/reset":
                self.__init__()  # type: ignore[misc]
                return Answer(204)
            case "GET", "/control/counts":
                return _json(200, {**self.counts, "at_once": max(self.at_once.values(), default=0)})
            case "GET", "/control/sends":
                return _json(200, self.sends)
            case "GET", "/control/mailboxes":
                now = time.time()
                rows = [
                    [item.mailbox, item.key, item.to, item.submissions, item.is_draft(now)]
                    for items in self.by_key.values()
                    for item in items
                ]
                return _json(200, rows)
        return _error(404, "control")


class Connection(asyncio.Protocol):
    """One kept connection: requests one after another, as http.client sends them."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self.mailboxes = mailboxes
        self.buffer = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end]
        length = LENGTH.search(head)
        size = end + 4 + (int(length[1]) if length else 0)
        if len(self.buffer) < size:
            return
        body, self.buffer = self.buffer[end + 4 : size], self.buffer[size:]
        method, path, _ = head.partition(b"\r\n")[0].decode().split(" ")
        bearer = BEARER.search(head)
        mailbox, _, given_out = (bearer[1].decode() if bearer else "").partition("/")
        self._serve(Request(method, unquote(path), mailbox, body, float(given_out or 0)))

    def _serve(self, request: Request) -> None:
        boxes = self.mailboxes
        if request.path.startswith("/control/"):
            self.transport.write(boxes.control(request).encoded())
            return
        if request.path.endswith("/send"):
            self._note_send(request)
        fault = boxes.faults.choose(request.mailbox, boxes.chance)
        boxes.counts[f"fault: {fault}" if fault else "requests"] += 1
        if not fault and not boxes.faults.latency:
            self.transport.write(boxes.do(request).encoded())
            return
        boxes.running[request.mailbox] += 1
        boxes.at_once[request.mailbox] = max(boxes.at_once[request.mailbox], boxes.running[request.mailbox])
        # Half of the way there, half of the way back: a kill in the middle meets both.
        self._later(boxes.faults.latency / 2, lambda: self._act(request, fault))

    def _note_send(self, request: Request) -> None:
        item = self.mailboxes.items.get(request.path.split("/")[-2])
        self.mailboxes.sends.append((request.mailbox, item.key if item else "", time.time()))

    def _act(self, request: Request, fault: str) -> None:
        boxes = self.mailboxes
        answer: Answer | None
        if fault in NOT_DONE:
            answer = NOT_DONE[fault]
        elif fault in DONE:
            boxes.do(request)
            answer = DONE[fault]
        elif fault in SILENT:
            answer = boxes.do(request) if SILENT[fault] else None
            boxes.running[request.mailbox] -= 1
            self._later(FOREVER, self.transport.abort)
            return
        else:
            answer = boxes.do(request)
        self._later(boxes.faults.latency / 2, lambda: self._answer(request, answer))

    def _answer(self, request: Request, answer: Answer | None) -> None:
        self.mailboxes.running[request.mailbox] -= 1
        if answer is None:
            self.transport.abort()
        elif not self.transport.is_closing():
            self.transport.write(answer.encoded())

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, act)


async def serve(port: int, mailboxes: Mailboxes) -> None:
    """Until standard input closes: whoever started it need not be alive to end it."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(mailboxes), "127.0.0.1", port, backlog=1024)
    print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    asyncio.run(serve(options.port, Mailboxes(options.seed)))


if __name__ == "__main__":
    main()
