"""The sandbox alone, without the product: programs of other people speak to it."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.sandbox_tenant import Mail, SandboxTenant

KEY = "String {6f1e6c0e-54a5-4a43-9c1b-0d5b8a2f7e11} Name OutreachKey"


@pytest.fixture
def tenant(running_tenant: SandboxTenant) -> Iterator[SandboxTenant]:
    running_tenant.reset()
    yield running_tenant
    running_tenant.reset()


class Graph:
    """A mailbox over plain HTTP, as its owner's app sees it."""

    def __init__(self, tenant: SandboxTenant, address: str) -> None:
        self.tenant = tenant
        self.address = address
        self.session = requests.Session()
        self.session.trust_env = False
        token = tenant.sign_in_tokens(address).access_token
        self.session.headers.update({"Authorization": f"Bearer {token}", "Prefer": 'IdType="ImmutableId"'})

    def ask(self, method: str, path: str, content: Any = None, **options: Any) -> requests.Response:
        options.setdefault("timeout", 30)
        address = path if path.startswith("http") else f"{self.tenant.url}/v1.0{path}"
        return self.session.request(method, address, json=content, **options)

    def get(self, path: str, **query: Any) -> Any:
        answer = self.ask("GET", path, params={f"${name}": value for name, value in query.items()})
        assert answer.ok, answer.text
        return answer.json()

    def draft(self, key: str = "key-1", to: str = "dana@candidate.example", **content: Any) -> Any:
        mail = {
            "subject": "Platform engineering",
            "body": {"contentType": "HTML", "content": "<p>Hello</p>"},
            "toRecipients": [{"emailAddress": {"address": to}}],
            "singleValueExtendedProperties": [{"id": KEY, "value": key}],
        }
        answer = self.ask("POST", "/me/messages", mail | content)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def send(self, identity: str, **options: Any) -> requests.Response:
        return self.ask("POST", f"/me/messages/{identity}/send", **options)

    def sent(self, **content: Any) -> Mail:
        """Draft, send, and wait for it in Sent Items."""
        before = len(self.tenant.messages(self.address))
        assert self.send(self.draft(**content)["id"]).status_code == 202
        return self.tenant.sent(self.address, before + 1)[-1]

    def by_key(self, key: str, select: str = "id,isDraft") -> list[Any]:
        wanted = f"singleValueExtendedProperties/Any(ep: ep/id eq '{KEY}' and ep/value eq '{key}')"
        return list(self.get("/me/messages", filter=wanted, select=select)["value"])


@pytest.fixture
def alice(tenant: SandboxTenant) -> Iterator[Graph]:
    graph = Graph(tenant, "alice@demo.example")
    yield graph
    graph.session.close()


def code_of(answer: requests.Response) -> tuple[int, str]:
    """Status and Graph's error code."""
    return answer.status_code, answer.json()["error"]["code"]
