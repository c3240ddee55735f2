"""One person's mail: folders and messages, ids of both kinds, the journal behind delta, and what is on its way."""

import base64
import hashlib
import itertools
import re
import secrets
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sandbox.store import Store

Recipient = dict[str, str]  # name, address

WELL_KNOWN = {
    "msgfolderroot": "Top of Information Store",
    "inbox": "Inbox",
    "drafts": "Drafts",
    "sentitems": "Sent Items",
    "deleteditems": "Deleted Items",
    "junkemail": "Junk Email",
    "outbox": "Outbox",
    "archive": "Archive",
    "conversationhistory": "Conversation History",
    "recoverableitemsdeletions": "Deletions",
}
_TAG = re.compile(r"^\s*(\w+)\s+(?:(\{?[0-9a-f-]{36}\}?)\s+(name|id)\s+(\S.*)|(0x[0-9a-f]+))\s*$", re.IGNORECASE)


def normal_property_id(identity: str) -> str:
    """Type, namespace and tag in one spelling; the name itself counts as it is written. Empty for no such id."""
    found = _TAG.match(identity)
    if not found:
        return ""
    kind, namespace, by, name, tag = found.groups()
    if tag:
        return f"{kind.capitalize()} 0x{int(tag, 16):04X}"
    return f"{kind.capitalize()} {{{namespace.strip('{}').lower()}}} {by.capitalize()} {name}"


@dataclass
class Message:
    id: str  # the immutable one
    serial: int
    folder: str  # a well-known name
    subject: str
    body: str
    created_at: float
    body_type: str = "html"
    to: list[Recipient] = field(default_factory=list)
    cc: list[Recipient] = field(default_factory=list)
    bcc: list[Recipient] = field(default_factory=list)
    reply_to: list[Recipient] = field(default_factory=list)
    sender: Recipient = field(default_factory=dict)
    is_draft: bool = False
    is_read: bool = True
    importance: str = "normal"
    categories: list[str] = field(default_factory=list)
    flag: str = "notFlagged"
    internet_message_id: str = ""
    conversation_id: str = ""
    conversation_index: str = ""
    in_reply_to: str = ""
    references: list[str] = field(default_factory=list)
    message_class: str = "IPM.Note"
    headers: list[dict[str, str]] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)  # by normal property id
    unique_body: str = ""  # only the new part of a reply
    mime: str = ""  # as it came, where it is more than its fields tell
    hidden_from_delta: bool = False
    received_at: float = 0.0
    sent_at: float = 0.0
    modified_at: float = 0.0
    placed_at: float = 0.0  # when it came into its folder
    change: int = 0  # the mailbox's count when it changed last
    submits: list[float] = field(default_factory=list)  # every accepted request to send it
    leaves_at: float = 0.0  # submitted, and moves to Sent Items then

    @property
    def key(self) -> str:
        """The first value that an app has put on it under a name of its own."""
        return next((value for name, value in self.properties.items() if " Name " in name), "")

    @property
    def change_key(self) -> str:
        return base64.b64encode(f"{self.serial}/{self.change}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Removal:
    """A message left a folder: the ids that it had there."""

    folder: str
    id: str
    regular_id: str
    change: int


class Mailbox:
    """All of it is called with the stand-in's lock held."""

    def __init__(self, owner: str, store: Store) -> None:
        self.owner = owner
        self._store = store
        self.messages: dict[str, Message] = {}
        self._by_regular: dict[str, str] = {}
        self._by_property: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._by_folder: dict[str, dict[str, Message]] = defaultdict(dict)
        self.removals: list[Removal] = []
        self._submits_of_deleted: dict[str, int] = {}  # by key: a count that deleting must not hide
        self.change = 0
        self.generation = 0  # of the delta links that count
        self._serials = itertools.count(1)

    # --- Ids --------------------------------------------------------------------------------------------------------
    def regular_id(self, message: Message) -> str:
        """The one that changes with the folder."""
        place = hashlib.sha256(f"{self.owner}/{message.folder}".encode()).digest()
        return _id("AAMkAD", place[:24] + message.serial.to_bytes(6, "big"))

    def folder_id(self, folder: str) -> str:
        return _id("AAMkADf", hashlib.sha256(f"{self.owner}/{folder}".encode()).digest()[:24])

    def folder_called(self, name: str) -> str | None:
        """A folder by its well-known name, in any case, or by its id."""
        if name.lower() in WELL_KNOWN:
            return name.lower()
        return next((folder for folder in WELL_KNOWN if self.folder_id(folder) == name), None)

    def find(self, identity: str) -> Message | None:
        return self.messages.get(self._by_regular.get(identity, identity))

    # --- Reading ----------------------------------------------------------------------------------------------------
    def in_folder(self, folder: str) -> Iterable[Message]:
        return self._by_folder[folder].values()

    def tagged(self, property_id: str, value: str) -> Iterator[Message]:
        for identity in self._by_property.get((property_id, value.lower()), ()):
            yield self.messages[identity]

    def waiting(self) -> Iterator[Message]:
        """Submitted, and still in Drafts."""
        return (message for message in self.in_folder("drafts") if message.leaves_at)

    def submits_by_key(self) -> dict[str, int]:
        counts = Counter(self._submits_of_deleted)
        for message in self.messages.values():
            if message.submits:
                counts[message.key] += len(message.submits)
        return dict(counts)

    # --- Writing ----------------------------------------------------------------------------------------------------
    def add(self, now: float, **content: Any) -> Message:
        """A new message; ids, Message-ID and conversation are given to it where `content` does not name them."""
        message = Message(id=new_immutable_id(), serial=next(self._serials), created_at=now, **content)
        message.internet_message_id = message.internet_message_id or new_internet_message_id()
        message.conversation_id = message.conversation_id or _id("AAQkAD", secrets.token_bytes(27))
        message.conversation_index = message.conversation_index or base64.b64encode(secrets.token_bytes(22)).decode()
        message.received_at = message.received_at or now
        message.sent_at = message.sent_at or now
        message.placed_at = now
        self._index(message)
        self.save(message, now)
        return message

    def save(self, message: Message, now: float) -> None:
        """Keep a message that has changed."""
        self.change += 1
        message.change = self.change
        message.modified_at = now
        for name, value in message.properties.items():
            self._by_property[name, value.lower()].add(message.id)
        self._store.put(f"message {self.owner}", str(message.serial), vars(message))

    def set_property(self, message: Message, name: str, value: str) -> None:
        if name in message.properties:
            self._by_property[name, message.properties[name].lower()].discard(message.id)
        message.properties[name] = value

    def move(self, message: Message, folder: str, now: float, *, new_id: bool = False) -> None:
        self._note_removal(message)
        self._forget(message)
        message.folder = folder
        message.placed_at = now
        if new_id:
            message.id = new_immutable_id()
        self._index(message)
        self.save(message, now)

    def delete(self, message: Message) -> None:
        """For good."""
        self._note_removal(message)
        self._forget(message)
        self._store.drop(f"message {self.owner}", str(message.serial))
        if message.submits:
            count = self._submits_of_deleted.get(message.key, 0) + len(message.submits)
            self._submits_of_deleted[message.key] = count
            self._store.put(f"submits {self.owner}", message.key, {"count": count})

    def load(self) -> None:
        for _, content in self._store.all(f"message {self.owner}"):
            self._index(Message(**content))
        for _, content in self._store.all(f"removal {self.owner}"):
            self.removals.append(Removal(**content))
        self._submits_of_deleted = {key: row["count"] for key, row in self._store.all(f"submits {self.owner}")}
        changes = [message.change for message in self.messages.values()]
        self.change = max([*changes, *(removal.change for removal in self.removals)], default=0)
        self._serials = itertools.count(max((message.serial for message in self.messages.values()), default=0) + 1)

    def _index(self, message: Message) -> None:
        self.messages[message.id] = message
        self._by_regular[self.regular_id(message)] = message.id
        self._by_folder[message.folder][message.id] = message
        for name, value in message.properties.items():
            self._by_property[name, value.lower()].add(message.id)

    def _forget(self, message: Message) -> None:
        del self.messages[message.id]
        del self._by_regular[self.regular_id(message)]
        del self._by_folder[message.folder][message.id]
        for name, value in message.properties.items():
            self._by_property[name, value.lower()].discard(message.id)

    def _note_removal(self, message: Message) -> None:
        self.change += 1
        removal = Removal(message.folder, message.id, self.regular_id(message), self.change)
        self.removals.append(removal)
        content = {name: getattr(removal, name) for name in Removal.__slots__}
        self._store.put(f"removal {self.owner}", str(self.change), content)


def new_immutable_id() -> str:
    return _id("AAkALgAAAAAAHYQDEapm", secrets.token_bytes(33))


def new_internet_message_id() -> str:
    return f"<{uuid.uuid4().hex.upper()}@sandbox.outlook.example>"


def _id(beginning: str, content: bytes) -> str:
    return beginning + base64.urlsafe_b64encode(content).decode().rstrip("=") + "="
