"""What a pump works on: mailboxes under lease, and the emails in them."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from mailconnect.outbox import Draft, MailItem, Outcome
from mailconnect.permission import Ask
from sequences.models import Message, Step
from sequences.sending.pace import SILENT

if TYPE_CHECKING:
    from mailconnect.models import MailConnection
    from mailconnect.queue import Lease
    from sequences.models import Sequence


@dataclass(slots=True, eq=False)
class Plan:
    """A sequence as this pump knows it: read again every few seconds."""

    sequence: "Sequence"
    steps: dict[int, Step]  # by position


@dataclass(slots=True, eq=False)
class Mailbox:
    """A mailbox under lease."""

    lease: "Lease"
    connection: "MailConnection"
    held_until: datetime | None
    held_reason: str
    failures: int
    rests_until: datetime | None = None  # as Microsoft wants it: until then nothing is asked either
    waiting: "deque[Errand]" = field(default_factory=deque)  # calls that wait for a place on the wire
    drafted: "deque[Letter]" = field(default_factory=deque)  # emails that wait for their permit
    running: int = 0  # calls under way
    open: int = 0  # emails and questions that have not come to an end
    settings_asked: bool = False

    @property
    def id(self) -> int:
        return self.lease.connection_id

    def hold(self, until: datetime, reason: str) -> None:
        """Nothing leaves before then. A longer hold stays."""
        if reason in SILENT and (self.rests_until is None or self.rests_until < until):
            self.rests_until = until
        if self.held_until is None or self.held_until < until:
            self.held_until, self.held_reason = until, reason


@dataclass(slots=True, eq=False, kw_only=True)
class Letter:
    """One email under way: the row, as far as sending needs it."""

    mailbox: Mailbox
    plan: Plan
    step_id: int
    position: int
    enrollment_id: int
    candidate_zone: str
    key: UUID
    state: str
    to_address: str
    body_hash: str
    reason: str = ""
    message_id: int = 0
    due_at: datetime | None = None
    to_name: str = ""
    subject: str = ""
    html: str = ""
    reply_to_id: int | None = None  # the message, and Microsoft's id of its copy in Sent Items
    reply_to_item: str = ""
    reply_conversation: str = ""
    looks_first: bool = False  # it may have left after all: ask the mailbox before a draft is made
    replaces_draft: str = ""  # of an earlier attempt; removed before the new draft is made
    draft_id: str = ""
    internet_message_id: str = ""
    conversation_id: str = ""
    attempts: int = 0
    began_at: datetime | None = None  # when the state began that is looked after

    def ask(self) -> Ask:
        return Ask(
            message_id=self.message_id,
            key=str(self.key),
            draft_id=self.draft_id,
            connection_id=self.mailbox.id,
            person_id=self.plan.sequence.owner_id,
            sequence_id=self.plan.sequence.pk,
            to_address=self.to_address,
            body_hash=self.body_hash,
        )

    def draft(self) -> Draft:
        return Draft(
            key=str(self.key),
            to_address=self.to_address,
            to_name=self.to_name,
            subject=self.subject,
            body_html=self.html,
            reply_to_id=self.reply_to_item,
        )

    def take(self, item: MailItem) -> None:
        """This is its draft."""
        self.draft_id = item.id
        self.internet_message_id = item.internet_message_id
        self.conversation_id = item.conversation_id


@dataclass(slots=True, eq=False)
class Errand:
    """A call to Microsoft for a mailbox, and what is done with its outcome in the database's thread."""

    mailbox: Mailbox
    call: Callable[[], Outcome]
    then: Callable[[Outcome], None]
    unmake: Callable[[], None]  # instead of both, when there is no time left to begin it
    begins: bool = False  # an email, which waits where the mailbox is held


@dataclass(slots=True, eq=False, kw_only=True)
class MessageChange:
    """A message's new state, where it is not the usual one; `letter` has its draft's ids."""

    letter: Letter
    state: Message.State
    reason: str = ""
    check_at: datetime | None = None
    attempts: int | None = None
    sent: MailItem | None = None
    still: tuple[str, str] | None = None  # only where its state and draft are these: it may have begun anew meanwhile


@dataclass(slots=True, eq=False, kw_only=True)
class EnrollmentChange:
    """What becomes of an enrollment: another state, another time, or both."""

    mailbox: Mailbox
    enrollment_id: int
    state: str
    reason: str = ""
    detail: str = ""
    due_at: datetime | None = None
