"""One call of Graph: who asks, what for, and which function answers."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from sandbox import odata, shapes
from sandbox.answers import Refused
from sandbox.directory import Account
from sandbox.mailbox import Mailbox, Message
from sandbox.post import Post
from sandbox.routing import Routes
from sandbox.wire import Request, Response
from sandbox.world import World

ROOT = "v1.0"
USUAL_PAGE = 10
LARGEST_PAGE = 1000


@dataclass
class Ask:
    """One call, with who asks."""

    request: Request
    world: World
    post: Post
    person: Account
    now: float
    found: list[str]
    touched: Message | None = None  # the message that the call was about

    @property
    def mailbox(self) -> Mailbox:
        mailbox = self.world.mailboxes.get(self.person.id)
        if mailbox is None:
            raise Refused(404, "MailboxNotEnabledForRESTAPI")
        return mailbox

    @property
    def settings(self) -> dict[str, Any]:
        return self.person.settings if self.mailbox else {}

    @property
    def content(self) -> dict[str, Any]:
        if not self.request.body:
            return {}
        try:
            content = json.loads(self.request.body)
        except ValueError as problem:
            raise Refused(400, "RequestBodyRead", "The body is no JSON.") from problem
        if not isinstance(content, dict):
            raise Refused(400, "RequestBodyRead", "The body is no JSON object.")
        return content

    @property
    def prefers(self) -> str:
        return self.request.headers.get("prefer", "")

    @property
    def is_immutable(self) -> bool:
        return 'IdType="ImmutableId"' in self.prefers

    def message(self, identity: str) -> Message:
        message = self.mailbox.find(identity)
        if message is None:
            raise Refused(404, "ErrorItemNotFound")
        self.touched = message
        return message

    def folder(self, name: str) -> str:
        folder = self.mailbox.folder_called(name)
        if folder is None:
            raise Refused(404, "ErrorItemNotFound")
        return folder

    @cached_property
    def view(self) -> dict[str, Any]:
        """What is shown of messages. Raises `Refused`."""
        return {
            "immutable": self.is_immutable,
            "select": shapes.selected(self.request.query.get("$select", "")),
            "expand": odata.property_ids(self.request.query.get("$expand", "")),
            "as_text": 'outlook.body-content-type="text"' in self.prefers,
        }

    def shown(self, message: Message) -> dict[str, Any]:
        self.touched = message
        return shapes.shown(self.mailbox, message, **self.view)


@dataclass(frozen=True, slots=True)
class Route:
    call: str
    scope: str
    answer: Callable[[Ask], Response]


routes = Routes()


def on(method: str, path: str, call: str, scope: str) -> Callable[[Callable[[Ask], Response]], Any]:
    """A decorator: the function answers `method` on `path`. `call` is its name for faults, `scope` what it takes."""

    def keep(function: Callable[[Ask], Response]) -> Callable[[Ask], Response]:
        routes.add(method, path)(Route(call, scope, function))
        return function

    return keep


def context(ask: Ask, what: str) -> str:
    """The @odata.context of an answer."""
    return f"{ask.request.origin}/{ROOT}/$metadata#{what}"


def link(ask: Ask, query: dict[str, str]) -> str:
    """The address of this call with another query: a nextLink or deltaLink."""
    return f"{ask.request.origin}{ask.request.path}?{urlencode(query, safe='$')}"


def preferred_page(ask: Ask, usual: int) -> int:
    found = re.search(r"odata\.maxpagesize=(\d+)", ask.prefers)
    return int(found[1]) if found else usual


def whole_number(text: str, usual: int) -> int:
    """A number in the query; `usual` where there is none. Raises `Refused`."""
    if not text:
        return usual
    if not text.isdecimal():
        raise Refused(400, "ErrorInvalidUrlQuery", "A number is malformed.")
    return int(text)
