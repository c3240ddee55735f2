"""What each outcome of a call to Microsoft leads to. Writes nothing: it fills the next batch."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mailconnect.outbox import Kind, MailItem, Outcome
from sequences import reconciling
from sequences.models import Enrollment, Message
from sequences.reconciling import Finding, Then
from sequences.sending.batch import Batch
from sequences.sending.letters import Letter, Mailbox, MessageChange
from sequences.sending.pace import OPERATOR_REST, UNWELL_AFTER, Pace

State = Message.State
# Graph's codes that speak of the mailbox and not of the email: it is held, with our reason, for so many hours.
MAILBOX_CODES = {
    "ErrorMessageSubmissionBlocked": ("submission_blocked", 24),
    "ErrorExceededMessageLimit": ("submission_blocked", 24),
    "ErrorQuotaExceeded": ("mailbox_full", 4),
    "quotaLimitReached": ("mailbox_full", 4),
    "ErrorAccessDenied": ("access_denied", 1),
    "MailboxNotEnabledForRESTAPI": ("no_mailbox_now", 4),
    "MailboxNotSupportedForRESTAPI": ("no_mailbox_now", 4),
    "ErrorNonExistentMailbox": ("no_mailbox_now", 1),
}
REMOVE_AGAIN_AFTER = timedelta(hours=1)


@dataclass
class Outcomes:
    """`batch` is what the pump writes next; `now` is the time of this round."""

    pace: Pace
    batch: Batch
    now: datetime

    def note(self, mailbox: Mailbox, outcome: Outcome) -> None:
        """What any outcome says of the mailbox: it is well, or it is held for a while."""
        match outcome.kind:
            case Kind.DONE | Kind.REFUSED:
                mailbox.failures = 0
            case Kind.THROTTLED:
                self._rest(mailbox, outcome, "throttled")
            case Kind.UNREACHABLE | Kind.UNAVAILABLE | Kind.UNKNOWN:
                unwell = mailbox.failures + 1 >= UNWELL_AFTER
                self._rest(mailbox, outcome, "mailbox_unwell" if unwell else "microsoft_unavailable")
            case Kind.OPERATOR:
                mailbox.hold(self.now + OPERATOR_REST, "operator")

    def _rest(self, mailbox: Mailbox, outcome: Outcome, reason: str) -> None:
        mailbox.failures += 1
        mailbox.hold(self.now + self.pace.rest(mailbox.failures, outcome.delay), reason)

    def drafted(self, letter: Letter, outcome: Outcome) -> bool:
        """Whether it has a draft that may go on to its permit; otherwise it has come to an end."""
        match outcome.kind:
            case Kind.DONE:
                return self._is_fit(letter, outcome.items[0])
            case Kind.UNKNOWN:
                self.batch.look_later(letter, self.now + reconciling.pause_after(0), looks=0)
            case Kind.REFUSED:
                self._draft_refused(letter, outcome)
            case _:
                self.batch.put_back(letter, self.now)
        return False

    def _is_fit(self, letter: Letter, item: MailItem) -> bool:
        """Recipients are as planned, and a reply is in its thread."""
        letter.take(item)
        if item.to_addresses != (letter.to_address.lower(),):
            self._failed(letter, "recipients_changed")
        elif letter.reply_conversation and item.conversation_id != letter.reply_conversation:
            self._held(letter, "thread_lost")
        else:
            return True
        return False

    def _draft_refused(self, letter: Letter, outcome: Outcome) -> None:
        letter.draft_id = letter.draft_id or letter.replaces_draft  # its removal may be what was refused
        if letter.reply_to_item and outcome.status == 404:
            self._held(letter, "thread_lost")
        elif hold := MAILBOX_CODES.get(outcome.reason):
            letter.mailbox.hold(self.now + timedelta(hours=hold[1]), hold[0])
            self.batch.put_back(letter, self.now)
        else:
            self._refused(letter, outcome)

    def sent(self, letter: Letter, outcome: Outcome) -> None:
        """Of the request to send."""
        letter.state = State.SENDING
        match outcome.kind:
            case Kind.DONE:
                self.batch.accepted.append(letter)
            case Kind.UNKNOWN:
                self.batch.look_later(letter, self.now + reconciling.pause_after(0), looks=0)
            case Kind.REFUSED:
                self._send_refused(letter, outcome)
            case _:
                self._later(letter)

    def _send_refused(self, letter: Letter, outcome: Outcome) -> None:
        if outcome.status == 404:  # deleted or sent by hand, or it has another id: the key will tell
            letter.state = State.DRAFTING
            self.batch.look_later(letter, self.now, looks=0)
        elif hold := MAILBOX_CODES.get(outcome.reason):
            letter.mailbox.hold(self.now + timedelta(hours=hold[1]), hold[0])
            self._later(letter)
        else:
            self._refused(letter, outcome)

    def _later(self, letter: Letter) -> None:
        """It surely did not leave: its draft waits for another permit, until the mailbox is no longer held."""
        held = letter.mailbox.held_until
        check_at = max(self.now, held) if held else self.now
        self.batch.messages.append(
            MessageChange(letter=letter, state=State.DRAFTED, reason=letter.reason, check_at=check_at)
        )

    def _refused(self, letter: Letter, outcome: Outcome) -> None:
        if outcome.reason == "ErrorInvalidRecipients":
            self.batch.end(
                letter,
                State.FAILED,
                outcome.reason,
                look_at=self.now,
                enrollment=Enrollment.State.STOPPED,
                why="recipient_refused",
            )
        else:
            self._failed(letter, outcome.reason)

    def _failed(self, letter: Letter, code: str) -> None:
        """A person looks at it."""
        self.batch.end(
            letter,
            State.FAILED,
            code,
            look_at=self.now,
            enrollment=Enrollment.State.HELD,
            why="message_failed",
            detail=code,
        )

    def _held(self, letter: Letter, reason: str) -> None:
        self.batch.end(letter, State.FAILED, reason, look_at=self.now, enrollment=Enrollment.State.HELD, why=reason)

    def not_permitted(self, letter: Letter, reason: str) -> None:
        """`permit()` said no: its draft goes, its enrollment keeps its place."""
        self.batch.end(
            letter,
            State.REFUSED,
            reason,
            look_at=self.now,
            enrollment=Enrollment.State.ACTIVE,
            due_at=self.now,
        )

    def withdrawn(self, letter: Letter, *, enrollment_active: bool, suppressed: bool) -> None:
        """Its sequence was paused, its enrollment stopped or its address suppressed before it could leave."""
        if enrollment_active and not suppressed:
            self.batch.put_back(letter, self.now)
            return
        self.batch.end(
            letter,
            State.CANCELLED,
            "suppressed" if suppressed else "",
            look_at=self.now,
            enrollment=Enrollment.State.STOPPED,
            why="suppressed",
        )

    def found(self, letter: Letter, outcome: Outcome, *, line_stands: bool) -> Finding:
        """Of a look for its key; what is to be disarmed or drafted again is left to the caller.

        `line_stands`: others wait in Drafts as well.
        """
        longest = letter.mailbox.connection.longest_settle_seconds
        if outcome.kind != Kind.DONE:
            self._look_again(letter)
            return Finding(then=Then.WAIT)
        finding = reconciling.judge(
            letter.state,
            outcome.items,
            reason=letter.reason,
            draft_id=letter.draft_id,
            looks=letter.attempts,
            waited=self.now - (letter.began_at or self.now),
            cool_down=reconciling.cool_down_of(longest, self.pace.cool_down),
            line_stands=line_stands,
        )
        self._follow(letter, finding)
        return finding

    def _look_again(self, letter: Letter) -> None:
        """What was asked of Microsoft was not done: as if it had not been asked."""
        rests_until = letter.mailbox.rests_until or self.now
        self.batch.look_later(letter, max(rests_until, self.now + reconciling.PAUSES[0]))

    def disarmed(self, letter: Letter, outcome: Outcome) -> None:
        """Its drafts cannot be submitted any more: what left before that shows itself from here on."""
        match outcome.kind:
            case Kind.DONE:
                again = letter.reason in (reconciling.DISARMED, reconciling.RESUBMITTED)
                letter.reason = reconciling.DISARMED_AGAIN if again else reconciling.DISARMED
                self.batch.look_later(letter, self.now + reconciling.pause_after(0), looks=0)
            case Kind.REFUSED if hold := MAILBOX_CODES.get(outcome.reason):
                letter.mailbox.hold(self.now + timedelta(hours=hold[1]), hold[0])
                self._look_again(letter)
            case Kind.REFUSED:
                self._never_certain(letter)
            case _:
                self._look_again(letter)

    def draft_again(self, letter: Letter, *, enrollment_active: bool, suppressed: bool) -> None:
        """It surely did not leave: it begins anew, if it still may."""
        is_first = letter.state == State.DRAFTING and letter.reason != reconciling.RESUBMITTED
        letter.reason = reconciling.REDRAFTED if is_first else reconciling.RESUBMITTED
        self.withdrawn(letter, enrollment_active=enrollment_active, suppressed=suppressed)

    def found_after_restore(self, letter: Letter, outcome: Outcome) -> None:
        """Of the look before a draft. One that is there may have been submitted, so it stays for a while."""
        copy = next((item for item in outcome.items if not item.is_draft), None)
        if outcome.kind != Kind.DONE:
            self.batch.put_back(letter, self.now)
        elif copy:
            self._copy_found(letter, copy)
        else:
            restored_at = letter.mailbox.connection.restored_at or self.now
            sure_at = max(self.now + reconciling.PAUSES[0], restored_at + self.pace.cool_down)
            self.batch.look_later(letter, sure_at, looks=0)

    def removed(self, letter: Letter, outcome: Outcome) -> None:
        """Of the removal of a draft that is no longer wanted. Its email may have begun anew meanwhile, with another."""
        still = (letter.state, letter.draft_id)
        done = outcome.kind == Kind.DONE
        if done:
            letter.draft_id = ""
        self.batch.look_later(letter, None if done else self.now + REMOVE_AGAIN_AFTER, still=still)

    def _follow(self, letter: Letter, finding: Finding) -> None:
        match finding.then:
            case Then.SENT:
                self._copy_found(letter, finding.item)
            case Then.UNKNOWN:
                self._never_certain(letter)
            case Then.WAIT:
                pause = reconciling.pause_after(letter.attempts)
                self.batch.look_later(letter, self.now + pause, looks=letter.attempts + 1)

    def _copy_found(self, letter: Letter, item: MailItem | None) -> None:
        if letter.state in (State.DRAFTING, State.DRAFTED):
            # Without a permit of ours: its owner sent the draft by hand, or the database is older than the mailbox.
            self.batch.messages.append(
                MessageChange(letter=letter, state=State.CANCELLED, reason="left_otherwise", sent=item)
            )
        else:
            self.batch.messages.append(MessageChange(letter=letter, state=State.SENT, sent=item))
        if letter.state == State.ACCEPTED:
            self._remember_settle_time(letter)
        else:
            self.batch.settled.append((letter, (item and item.sent_at) or self.now))

    def _remember_settle_time(self, letter: Letter) -> None:
        """Only where it was seen in Drafts before: otherwise the time says when we looked, not how long it took."""
        if letter.attempts and letter.began_at:
            # A worker that was down looked late: then the time would say how long it was down.
            planned = timedelta(seconds=self.pace.settle_seconds) + reconciling.pauses(letter.attempts)
            seconds = int(min(self.now - letter.began_at, 2 * planned).total_seconds())
            known = self.batch.settle_times.get(letter.mailbox.id, 0)
            self.batch.settle_times[letter.mailbox.id] = max(known, seconds)

    def _never_certain(self, letter: Letter) -> None:
        """A person decides. What a restored database calls drafted has no permit of ours: it is no `unknown`."""
        self.batch.end(
            letter,
            State.FAILED if letter.state == State.DRAFTED else State.UNKNOWN,
            reconciling.UNKNOWN,
            look_at=self.now,
            enrollment=Enrollment.State.HELD,
            why=reconciling.UNKNOWN,
        )
        self.batch.messages[-1].check_at = None  # nobody removes a draft that may be on its way
