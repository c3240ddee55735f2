"""The post: what was submitted leaves Drafts after a while, reaches the mailboxes that are here, and comes back."""

import heapq
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field

from sandbox import incoming
from sandbox.answers import Refused
from sandbox.directory import Account
from sandbox.mailbox import Mailbox, Message, new_internet_message_id
from sandbox.shapes import check_deliverable
from sandbox.world import World

NEVER = 1e12
LONGEST_WAIT = 3600.0
DAY = 86_400


@dataclass(order=True, slots=True)
class _Leaving:
    at: float
    account: str = field(compare=False)
    message: Message = field(compare=False)


class Post:
    """Its methods are called with the world's lock held; its thread takes the lock by itself."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._leaving: list[_Leaving] = []
        self._slots: dict[str, list[float]] = defaultdict(list)  # when the newest of each mailbox leave
        self._away_told: set[tuple[str, str]] = set()
        self._over = False
        self.resume()

    def resume(self) -> None:
        """Take up what was on its way when the program ended, or nothing after a reset."""
        self._slots.clear()
        self._away_told.clear()
        self._leaving = [
            _Leaving(message.leaves_at, owner, message)
            for owner, mailbox in self._world.mailboxes.items()
            for message in mailbox.waiting()
        ]
        heapq.heapify(self._leaving)

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        with self._world.lock:
            self._over = True
            self._world.changed.notify_all()

    def submit(self, person: Account, mailbox: Mailbox, message: Message, now: float) -> None:
        """Accept a message for sending. Submitted once more, it leaves once more, unless the knob says otherwise."""
        if message.sender and message.sender["address"].lower() not in map(str.lower, person.addresses):
            raise Refused(403, "ErrorSendAsDenied", "You have no right to send on behalf of that account.")
        check_deliverable(message)
        again = not message.is_draft or bool(message.leaves_at)
        if again and self._world.knob(person.id, "repeated_send") == "refuse":
            raise Refused(400, "ErrorInvalidRequest", "The message has been submitted before.")
        leaves_at = self._leaves_at(person.id, now)
        message.submits.append(now)
        message.leaves_at = message.leaves_at or leaves_at
        mailbox.save(message, now)
        heapq.heappush(self._leaving, _Leaving(leaves_at, person.id, message))
        self._world.changed.notify_all()

    def settle_now(self, person: str = "") -> int:
        """Let leave at once what waits: of one mailbox or of all."""
        chosen = [leaving for leaving in self._leaving if person in ("", leaving.account)]
        self._leaving = [leaving for leaving in self._leaving if leaving not in chosen]
        heapq.heapify(self._leaving)
        for leaving in sorted(chosen):
            self._leave(leaving)
        return len(chosen)

    def _leaves_at(self, person: str, now: float) -> float:
        settle = self._world.knob(person, "settle_seconds")
        if settle < 0:
            return NEVER
        rate = self._world.knob(person, "sends_per_minute")
        slots = self._slots[person]
        at = now + float(settle)
        if rate and len(slots) >= rate:
            at = max(at, slots[-rate] + 60)
        slots.append(at)
        del slots[:-1000]
        return at

    def _run(self) -> None:
        with self._world.lock:
            while not self._over:
                now = time.time()
                while self._leaving and self._leaving[0].at <= now:
                    self._leave(heapq.heappop(self._leaving))
                until = self._leaving[0].at - now if self._leaving else LONGEST_WAIT
                self._world.changed.wait(min(until, LONGEST_WAIT))

    def _leave(self, leaving: _Leaving) -> None:
        mailbox = self._world.mailboxes.get(leaving.account)
        message = leaving.message
        if mailbox is None or mailbox.messages.get(message.id) is not message:  # deleted before it left, or a reset
            return
        now = time.time()
        if message.is_draft:
            self._file_as_sent(mailbox, message, now)
            sent = message
        else:
            sent = _second_copy(mailbox, message, now)
        self._deliver(self._world.accounts[leaving.account], sent, now)

    def _file_as_sent(self, mailbox: Mailbox, message: Message, now: float) -> None:
        message.is_draft = False
        message.sent_at = message.received_at = now
        message.leaves_at = 0.0
        mailbox.move(message, "sentitems", now, new_id=self._world.knob(mailbox.owner, "id_changes_on_send"))

    def _deliver(self, author: Account, sent: Message, now: float) -> None:
        limit = self._world.knob(author.id, "recipients_per_day")
        for recipient in sent.to + sent.cc + sent.bcc:
            address = recipient["address"].lower()
            if limit and self._recipients_today(author.id, now) > limit:
                self._bounce(author, sent, address, "5.7.233", now)
            elif address in self._world.knob(author.id, "bouncing"):
                self._bounce(author, sent, address, "5.1.1", now)
            else:
                self._put_into_inbox(author, sent, address, now)

    def _recipients_today(self, person: str, now: float) -> int:
        messages = self._world.mailboxes[person].in_folder("sentitems")
        return sum(len(message.to + message.cc + message.bcc) for message in messages if message.sent_at > now - DAY)

    def _bounce(self, author: Account, sent: Message, address: str, status: str, now: float) -> None:
        mailbox = self._world.mailboxes[author.id]
        incoming.bounce(mailbox, incoming.Coming(original=sent, address=address, status=status), now)

    def _put_into_inbox(self, author: Account, sent: Message, address: str, now: float) -> None:
        reader = self._world.account_at(address)
        mailbox = self._world.mailboxes.get(reader.id) if reader else None
        if reader is None or mailbox is None:
            return
        mailbox.add(
            now,
            folder="inbox",
            subject=sent.subject,
            body=sent.body,
            body_type=sent.body_type,
            sender=sent.sender,
            to=sent.to,
            cc=sent.cc,
            is_read=False,
            internet_message_id=sent.internet_message_id,
            in_reply_to=sent.in_reply_to,
            references=sent.references,
            conversation_id=incoming.conversation_of(mailbox, sent),
            headers=sent.headers,
        )
        self._tell_away(reader, author, sent, now)

    def _tell_away(self, reader: Account, author: Account, sent: Message, now: float) -> None:
        """Somebody here who is away says so, once to each."""
        replies = reader.settings["automaticRepliesSetting"]
        told = (reader.id, author.id)
        if replies["status"] == "disabled" or told in self._away_told or reader.id == author.id:
            return
        self._away_told.add(told)
        coming = incoming.Coming(original=sent, address=reader.address, text=replies["internalReplyMessage"])
        hides = self._world.knob(author.id, "hides_internal_auto_replies")
        incoming.internal_auto_reply(self._world.mailboxes[author.id], coming, now, hidden=hides)


def _second_copy(mailbox: Mailbox, message: Message, now: float) -> Message:
    """What a repeated submission leaves behind: the same mail once more, with the same tags."""
    content = {name: value for name, value in vars(message).items() if name not in _ITS_OWN}
    return mailbox.add(now, **content, folder="sentitems", internet_message_id=new_internet_message_id())


_ITS_OWN = {
    "id",
    "serial",
    "folder",
    "created_at",
    "internet_message_id",
    "received_at",
    "sent_at",
    "modified_at",
    "placed_at",
    "change",
    "submits",
    "leaves_at",
}
