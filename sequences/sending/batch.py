"""What the next transaction writes."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction

from mailconnect import queue
from mailconnect.permission import Refusal
from mailconnect.queue import Lease, Release
from sequences.models import Enrollment, Message
from sequences.pausing import pause_refused
from sequences.sending import settling
from sequences.sending.letters import EnrollmentChange, Letter, Mailbox, MessageChange
from sequences.sending.pace import SILENT
from sequences.sending.picking import next_due


@dataclass
class Batch:
    begun: list[Letter] = field(default_factory=list)
    accepted: list[Letter] = field(default_factory=list)
    settled: list[tuple[Letter, datetime]] = field(default_factory=list)  # left then, as was found out later
    messages: list[MessageChange] = field(default_factory=list)
    enrollments: list[EnrollmentChange] = field(default_factory=list)
    refiled: list[int] = field(default_factory=list)  # enrollments that belong to another mailbox
    waiting_sequences: dict[int, tuple[datetime, str]] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    settle_times: dict[int, int] = field(default_factory=dict)  # seconds, by mailbox
    bells: dict[int, datetime] = field(default_factory=dict)  # other mailboxes in which something becomes due

    def contents(self) -> list[str]:
        """What is in it, for an observer."""
        named = {
            "begin": self.begun,
            "accept": self.accepted,
            "settle": self.settled or self.messages or self.enrollments,
            "refuse": self.refusals,
        }
        return [name for name, rows in named.items() if rows]

    def leave_unbegun(self) -> list[Letter]:
        """Nothing more is drafted: returns those whose drafting is not stored yet, and which wait in the queue."""
        unbegun = [letter for letter in self.begun if letter.state == Message.State.DRAFTING]
        self.begun = [letter for letter in self.begun if letter.state != Message.State.DRAFTING]
        return unbegun

    def put_back(self, letter: Letter, due_at: datetime) -> None:
        """It waits in the queue, with the text that it has; a draft that is there is replaced by its next one."""
        letter.replaces_draft = letter.draft_id = letter.draft_id or letter.replaces_draft
        self.messages.append(MessageChange(letter=letter, state=Message.State.PLANNED, reason=letter.reason))
        self.enrollments.append(
            EnrollmentChange(
                mailbox=letter.mailbox,
                enrollment_id=letter.enrollment_id,
                state=Enrollment.State.ACTIVE,
                due_at=due_at,
            )
        )

    def end(
        self,
        letter: Letter,
        state: Message.State,
        reason: str,
        *,
        look_at: datetime,
        enrollment: str,
        why: str = "",
        detail: str = "",
        due_at: datetime | None = None,
    ) -> None:
        """It does not leave. If it has a draft, that is removed at `look_at`."""
        check_at = look_at if letter.draft_id else None
        self.messages.append(MessageChange(letter=letter, state=state, reason=reason, check_at=check_at))
        self.enrollments.append(
            EnrollmentChange(
                mailbox=letter.mailbox,
                enrollment_id=letter.enrollment_id,
                state=enrollment,
                reason=why,
                detail=detail[:300],
                due_at=due_at,
            )
        )

    def look_later(
        self,
        letter: Letter,
        check_at: datetime | None,
        *,
        looks: int | None = None,
        still: tuple[str, str] | None = None,
    ) -> None:
        """It stays as it is until then; with `still`, where it still has that state and that draft."""
        self.messages.append(
            MessageChange(
                letter=letter,
                state=Message.State(letter.state),
                reason=letter.reason,
                check_at=check_at,
                attempts=looks,
                still=still,
            )
        )

    def write(
        self, closing: Collection[Mailbox], leases: Collection[Lease], now: datetime, look_at: datetime
    ) -> set[int]:
        """All of it in one transaction; what belongs to a lost lease is left out. Returns the mailboxes still held."""
        with transaction.atomic():
            held = queue.fence(leases)
            # A mailbox may be under another lease of ours by now: what came of the old one is not for the new one.
            standing = {lease.connection_id: lease for lease in leases if lease.connection_id in held}

            def stands(mailbox: Mailbox) -> bool:
                return standing.get(mailbox.id) is mailbox.lease

            begun = settling.begin([letter for letter in self.begun if stands(letter.mailbox)], now)
            drafting = {one.enrollment_id for one in self.begun if one.state == Message.State.DRAFTING}
            settling.take_out(sorted(begun & drafting))
            accepted = [letter for letter in self.accepted if stands(letter.mailbox)]
            settling.accept(accepted, now, look_at)
            settling.change_messages([one for one in self.messages if stands(one.letter.mailbox)])
            left = [(letter, now) for letter in accepted] + self.settled
            steps = [settling.next_step(letter, left_at) for letter, left_at in left if stands(letter.mailbox)]
            places = settling.advance(steps)
            places += settling.change_enrollments([one for one in self.enrollments if stands(one.mailbox)])
            places += settling.refile(self.refiled)
            settling.hold_sequences([(pk, *hold) for pk, hold in self.waiting_sequences.items()])
            queue.remember_settle_times({pk: seconds for pk, seconds in self.settle_times.items() if pk in held})
            if self.refusals:
                pause_refused(self.refusals, now)
            self._release([mailbox for mailbox in closing if mailbox.id in held], now)
        for connection_id, due_at in places:
            if connection_id not in held:
                self.bells[connection_id] = min(due_at, self.bells.get(connection_id, due_at))
        return held

    def _release(self, closing: list[Mailbox], now: datetime) -> None:
        if not closing:
            return
        due = next_due([mailbox.id for mailbox in closing])
        queue.release([_release_of(mailbox, *due[mailbox.id], now) for mailbox in closing])


def _release_of(mailbox: Mailbox, enrollment: datetime | None, message: datetime | None, now: datetime) -> Release:
    """Due when something is due and it is not held; messages are looked after even then, unless it is silent."""
    held = mailbox.held_until if mailbox.held_until and mailbox.held_until > now else None
    if held and enrollment:
        enrollment = max(enrollment, held)
    if held and message and mailbox.held_reason in SILENT:
        message = max(message, held)
    return Release(
        lease=mailbox.lease,
        due_at=min((moment for moment in (enrollment, message) if moment), default=None),
        held_until=held,
        held_reason=mailbox.held_reason if held else "",
        failures=mailbox.failures,
    )
