"""What two bare calls cost (create a draft, send it): our wire, urllib3 and requests, against the same stand-in."""

import json
import resource
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import requests
import urllib3

from bench.running import StandIn
from mailconnect.microsoft.wire import Wire

BODY = "<p>Good morning,</p>" + "<p>We have read your work with interest and would like to talk.</p>" * 12


@dataclass(frozen=True)
class Rate:
    """`per_second` pairs of calls, and what one costs this process."""

    per_second: float
    cpu_ms: float


class Client(Protocol):
    def post(self, path: str, headers: dict[str, str], body: bytes) -> bytes: ...


class OurWire:
    def __init__(self, url: str) -> None:
        self.wire = Wire(url)

    def post(self, path: str, headers: dict[str, str], body: bytes) -> bytes:
        return self.wire.exchange("POST", path, headers, body).body


class Urllib3:
    def __init__(self, url: str) -> None:
        self.url = url
        self.pool = urllib3.PoolManager(maxsize=256, retries=False)

    def post(self, path: str, headers: dict[str, str], body: bytes) -> bytes:
        return bytes(self.pool.request("POST", self.url + path, headers=headers, body=body).data)


class Requests:
    def __init__(self, url: str) -> None:
        self.url = url
        self.kept = threading.local()

    def post(self, path: str, headers: dict[str, str], body: bytes) -> bytes:
        if not hasattr(self.kept, "session"):
            self.kept.session = requests.Session()
            self.kept.session.trust_env = False
        return bytes(self.kept.session.post(self.url + path, headers=headers, data=body, timeout=30).content)


CLIENTS: dict[str, Callable[[str], Client]] = {"http.client": OurWire, "urllib3": Urllib3, "requests": Requests}


def pairs(standin: StandIn, name: str, *, threads: int, seconds: float) -> Rate:
    """Bare pairs for so long, by so many threads."""
    client = CLIENTS[name](standin.url)
    done = [0] * threads
    ends_at = time.monotonic() + seconds

    def run(number: int) -> None:
        while time.monotonic() < ends_at:
            one_pair(client, mailbox=f"bare-{number}")
            done[number] += 1

    started, cpu = time.monotonic(), _cpu()
    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    total = sum(done)
    return Rate(total / (time.monotonic() - started), (_cpu() - cpu) * 1000 / max(total, 1))


def one_pair(client: Client, mailbox: str) -> None:
    headers = {
        "Authorization": f"Bearer {mailbox}",
        "Accept": "application/json",
        "Prefer": 'IdType="ImmutableId"',
        "Content-Type": "application/json",
    }
    content = {
        "subject": "A question about your work",
        "body": {"contentType": "HTML", "content": BODY},
        "toRecipients": [{"emailAddress": {"name": "Kim", "address": "kim@candidates.example"}}],
        "singleValueExtendedProperties": [{"id": "String {x} Name OutreachKey", "value": "k"}],
    }
    draft = json.loads(client.post("/v1.0/me/messages", headers, json.dumps(content).encode()))
    client.post(f"/v1.0/me/messages/{draft['id']}/send", headers, b"")


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
