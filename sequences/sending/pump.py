"""The pump: many emails under way at once, few transactions.

One thread (the caller's) owns the database: it leases mailboxes, plans, permits, and writes what came of the calls, for
many emails at a time. The crew's threads only talk to Microsoft. A call starts only after the state that announces it
is committed; what is lost when the program dies is found out later, in the mailbox.
"""

import gc
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

from django.db import Error, InterfaceError, InternalError, OperationalError, transaction
from django.db import connection as database
from django.utils import timezone

from mailconnect import mailbox_settings, permission, queue
from mailconnect.models import MailConnection
from mailconnect.outbox import Kind, Outbox, Outcome, unobserved
from mailconnect.permission import Permit
from sequences.models import Message
from sequences.reconciling import Then
from sequences.sending import picking, settling
from sequences.sending.batch import Batch
from sequences.sending.crew import Crew
from sequences.sending.letters import Errand, Letter, Mailbox, MessageChange
from sequences.sending.outcomes import Outcomes
from sequences.sending.pace import SILENT, Breaker, Pace, next_day, zone_of
from sequences.sending.writing import Written, opening, write

SECONDS = 45.0
ENDING_SECONDS = 20.0  # for the calls that are under way when the time is over
SETTINGS_KNOWN_FOR = timedelta(minutes=15)
GATHER_SECONDS = 0.1
TAKEN_ON_AT_ONCE = 6  # for each call that may be under way: results and permits wait while emails are planned
LOOK_AGAIN_SECONDS = 0.5
AWAY_AGAIN = timedelta(minutes=15)
DRAFTED_AGAIN = timedelta(minutes=1)
APPROVAL_AGAIN = timedelta(hours=1)

State = Message.State
logger = logging.getLogger(__name__)
_breaker = Breaker()


@dataclass
class Tally:
    """What a pump has done."""

    drafted: int = 0
    accepted: int = 0
    settled: int = 0
    refused: int = 0
    rounds: int = 0


def never() -> bool:
    return False


@contextmanager
def _rare_collections() -> Iterator[None]:
    """A round makes thousands of objects, and no cycles: to look for some at every 700th costs a tenth of all time."""
    usual = gc.get_threshold()
    gc.set_threshold(50_000, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


class Pump:
    """Sends what is due, until its time is over or nothing is left.

    `clock` tells the time of due dates; `stop` is asked whether to wind up early, `others_wait` whether not to linger;
    `observe` is told each point of the way: before and after every commit, before, during and after every call.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] = timezone.now,
        pace: Pace | None = None,
        in_flight: int = 128,
        observe: Callable[[str], None] = unobserved,
        stop: Callable[[], bool] = never,
        others_wait: Callable[[], bool] = never,
        breaker: Breaker = _breaker,
    ) -> None:
        self.tally = Tally()
        self._clock = clock
        self._pace = pace or Pace()
        self._observe = observe
        self._stop = stop
        self._others_wait = others_wait
        self._breaker = breaker
        self._owner = uuid4()
        self._outbox = Outbox(observe=observe)
        self._crew = Crew(self._outbox, in_flight)
        self._came: deque[tuple[Errand, Outcome]] = deque()  # of the crew, and not yet looked at
        self._mailboxes: dict[int, Mailbox] = {}
        self._memory = picking.Memory()
        self._batch = Batch()
        self._outcomes = Outcomes(self._pace, self._batch, clock())  # of this round
        self._session: object = None  # the database connection that serves this pump
        self._ends = 0.0
        self._look_at = 0.0  # monotonic: when to look for due mailboxes again

    def run(self, *, seconds: float = SECONDS, linger: bool = False) -> Tally:
        """With `linger` it waits for what becomes due within its time, unless others want its place."""
        self._ends = time.monotonic() + seconds
        try:
            with _rare_collections():
                while self._goes_on(linger):
                    try:
                        self._round()
                    except (OperationalError, InterfaceError, InternalError) as error:
                        self._database_is_away(error)
                    except Exception:
                        self._give_up_all()
        finally:
            self._crew.dismiss()
            if database.connection is not None and database.connection is self._session:
                with suppress(Error):  # it is gone, and its settings with it
                    queue.end_session()
        return self.tally

    # --- One round -------------------------------------------------------------------------------------------------

    def _round(self) -> None:
        self.tally.rounds += 1
        if database.connection is None or database.connection is not self._session:
            queue.begin_session()
            self._session = database.connection
        self._outcomes = Outcomes(self._pace, self._batch, self._clock())
        busy = self._crew.out > self._crew.size // 4
        self._came += self._crew.collect(seconds=0.05, gather=GATHER_SECONDS if busy else 0.0)
        self._take_in()
        if self._is_ending():
            self._unmake_waiting()
            self._commit()
        else:
            # The wire first: while this thread writes and plans, the crew has something to do.
            self._permit()
            self._commit()
            self._give_errands()
            self._take_on_more()

    def _take_in(self) -> None:
        while self._came:
            self._came_back(*self._came.popleft())

    def _goes_on(self, linger: bool) -> bool:
        if self._crew.out or self._mailboxes:
            return time.monotonic() < self._ends + ENDING_SECONDS
        if self._is_ending():
            return False
        if time.monotonic() < self._look_at:  # the last look found nothing
            return linger and not self._others_wait() and self._waits_for_next()
        return True

    def _is_ending(self) -> bool:
        if self._stop():
            self._ends = min(self._ends, time.monotonic())
        return time.monotonic() >= self._ends

    def _waits_for_next(self) -> bool:
        """Something becomes due within this pump's time: wait for it."""
        moment = queue.next_moment()
        left = timedelta(seconds=self._ends - time.monotonic())
        if moment is None or moment > self._clock() + left:
            return False
        time.sleep(max(0.0, min(LOOK_AGAIN_SECONDS, self._ends - time.monotonic())))
        self._look_at = 0.0
        return True

    def _database_is_away(self, error: Exception) -> None:
        """What is known of the calls is kept, and written when it is back."""
        logger.warning("The database cannot be asked (%s); trying again.", type(error).__name__)
        database.close()
        time.sleep(LOOK_AGAIN_SECONDS)

    def _give_up_all(self) -> None:
        """Our own fault. The leases run out, and what was under way is looked after: nothing stops for good."""
        logger.exception("A round of the pump broke; its %s mailboxes are left alone.", len(self._mailboxes))
        with suppress(Exception):  # this may be what breaks
            self._take_in()
            self._batch.leave_unbegun()
            self._commit(closes=False)
        self._mailboxes, self._batch = {}, Batch()

    # --- Finding work ----------------------------------------------------------------------------------------------

    def _take_on_more(self) -> None:
        """Lease due mailboxes as long as there is room on the wire for what they may hold."""
        under_way = sum(min(mailbox.open, self._pace.at_once) for mailbox in self._mailboxes.values())
        room = self._crew.capacity * 3 // 2 - under_way
        if room <= self._crew.capacity // 2 or time.monotonic() < self._look_at:
            return
        room = min(room, TAKEN_ON_AT_ONCE * self._crew.size)
        wanted = self._breaker.allows(math.ceil(room / min(self._pace.burst, self._pace.at_once)), now=time.monotonic())
        now = self._clock()
        self._memory.refresh()
        found = picking.lease_mailboxes(self._owner, self._memory, now=now, limit=wanted) if wanted else []
        if len(found) < wanted or not wanted:
            self._look_at = time.monotonic() + LOOK_AGAIN_SECONDS
        self._mailboxes |= {mailbox.id: mailbox for mailbox in found}
        awake = [mailbox for mailbox in found if not _is_held(mailbox, now) or mailbox.held_reason not in SILENT]
        if awake:
            self._outbox.admit([mailbox.id for mailbox in awake], now)
            self._look_after(awake, now)
            self._plan([mailbox for mailbox in awake if not _is_held(mailbox, now)], now)

    def _plan(self, mailboxes: Collection[Mailbox], now: datetime) -> None:
        """Of each mailbox a few emails, shared between its sequences by lot."""
        limit = max(1, self._pace.burst)
        places = picking.due_places([mailbox.id for mailbox in mailboxes], now=now, limit=limit)
        chosen: dict[int, Mailbox] = {}
        for mailbox in mailboxes:
            waiting = places.get(mailbox.id)
            if waiting and self._may_begin(mailbox, now):
                room = self._pace.room(mailbox.connection, now) - len(mailbox.drafted)
                chosen |= dict.fromkeys(self._shared(waiting)[: max(0, room)], mailbox)
        due = picking.due_enrollments(chosen)
        plans = self._memory.plans({one.sequence_id for one in due}, mailboxes)
        self._written(write(due, plans, now), now)

    def _shared(self, waiting: dict[int, list[int]]) -> list[int]:
        """Enrollments in turn from each sequence; which comes first is left to chance."""
        lots = list(waiting.values())
        self._pace.chance.shuffle(lots)
        longest = max(map(len, lots))
        return [lot[turn] for turn in range(longest) for lot in lots if turn < len(lot)]

    def _may_begin(self, mailbox: Mailbox, now: datetime) -> bool:
        connection = mailbox.connection
        read_at = connection.settings_read_at
        if not mailbox.settings_asked and (read_at is None or now - read_at > SETTINGS_KNOWN_FOR):
            mailbox.settings_asked = True
            mailbox.open += 1
            call = partial(self._outbox.settings, mailbox.id)
            self._send_for(mailbox, call, partial(self._settings_came, mailbox), partial(_close, mailbox))
            return False
        if connection.is_away(now):
            mailbox.hold(min(connection.away_until or now + AWAY_AGAIN, now + AWAY_AGAIN), "away")
        elif self._pace.room(connection, now) == 0:
            mailbox.hold(next_day(connection, now), "daily_limit")
        return not _is_held(mailbox, now)

    def _settings_came(self, mailbox: Mailbox, outcome: Outcome) -> None:
        """Kept, and then the mailbox is planned for. Where Microsoft refuses them, what was known before must do."""
        mailbox.open -= 1
        now = self._clock()
        if outcome.settings:
            mailbox_settings.store(mailbox.id, outcome.settings, now)
            known = MailConnection.objects.select_related("owner", "organization")
            mailbox.connection = known.get(pk=mailbox.id)
        if outcome.kind in (Kind.DONE, Kind.REFUSED) and not _is_held(mailbox, now) and not self._is_ending():
            self._plan([mailbox], now)

    def _written(self, written: Written, now: datetime) -> None:
        """Ask whether the emails would be permitted, before a draft of any is put into somebody's mailbox."""
        self._batch.enrollments += written.changes
        self._batch.refiled += written.refiled
        if written.refiled:
            self._memory.forget()  # or it is the plan that is of yesterday, not the mailbox
        asks = {str(letter.key): letter for letter in written.letters}
        refused = {one.ask.key: one for one in permission.foresee([each.ask() for each in asks.values()], now=now)}
        for key, letter in asks.items():
            if key not in refused:
                letter.state = State.DRAFTING
            elif not self._waits(letter, refused[key].reason, now):
                self._batch.refusals.append(refused[key])
                continue
            elif refused[key].reason == "awaiting_approval":
                self._batch.refusals.append(refused[key])  # planned, so that its owner can read it
            else:
                continue
            letter.mailbox.open += 1
            self._batch.begun.append(letter)

    def _waits(self, letter: Letter, reason: str, now: datetime) -> bool:
        """Whether the refusal passes by itself; then the whole sequence waits for that."""
        again = {"grant_cap": next_day(letter.mailbox.connection, now), "awaiting_approval": now + APPROVAL_AGAIN}
        if reason in again:
            self._batch.waiting_sequences[letter.plan.sequence.pk] = (again[reason], reason)
        return reason in again

    # --- Looking after ---------------------------------------------------------------------------------------------

    def _look_after(self, mailboxes: Collection[Mailbox], now: datetime) -> None:
        by_id = {mailbox.id: mailbox for mailbox in mailboxes}
        accepted: dict[Mailbox, list[Letter]] = {}
        for letter in picking.to_look_after(by_id, self._memory, now=now):
            mailbox = letter.mailbox
            mailbox.open += 1
            if letter.state == State.DRAFTED and not _may_have_left(letter):
                self._take_up(letter, now)
            elif letter.state == State.ACCEPTED and not letter.reason and not letter.attempts:
                accepted.setdefault(mailbox, []).append(letter)
            elif letter.state in (State.DRAFTING, State.DRAFTED, State.SENDING, State.ACCEPTED):
                self._look(letter)
            else:
                self._remove_draft(letter)
        for mailbox, letters in accepted.items():
            since = min(letter.began_at or now for letter in letters) - timedelta(minutes=5)
            call = partial(self._outbox.sent_since, mailbox.id, since)
            unmake = partial(self._each_later, letters)
            self._send_for(mailbox, call, partial(self._sent_items_came, letters), unmake)

    def _take_up(self, letter: Letter, now: datetime) -> None:
        """A draft that has waited goes on to its permit, if mail may leave from the mailbox now."""
        mailbox = letter.mailbox
        try:
            opens = opening(letter.plan, mailbox.connection, letter.candidate_zone, now)
        except ValueError:  # there is no such window, or it never opens: planning says so
            self._put_back(letter)
            return
        has_room = self._pace.room(mailbox.connection, now) > len(mailbox.drafted)
        if opens == now and has_room and not mailbox.connection.is_away(now) and not _is_held(mailbox, now):
            mailbox.drafted.append(letter)
            return
        mailbox.open -= 1
        until = mailbox.held_until if _is_held(mailbox, now) else now + DRAFTED_AGAIN
        self._batch.look_later(letter, max(opens, until or now))

    def _look(self, letter: Letter) -> None:
        call = partial(self._outbox.find, letter.mailbox.id, str(letter.key))
        self._send_for(letter.mailbox, call, partial(self._found, letter), partial(self._each_later, [letter]))

    def _found(self, letter: Letter, outcome: Outcome) -> None:
        letter.mailbox.open -= 1
        finding = self._outcomes.found(letter, outcome, line_stands=self._line_stands(letter))
        self.tally.settled += 1
        if finding.then == Then.DISARM:
            self._disarm(letter, finding.drafts)
            return
        if finding.then == Then.DRAFT_AGAIN:
            letter.draft_id = letter.draft_id or next(iter(finding.drafts), "")
            is_active, is_suppressed = picking.standing([letter.message_id])[letter.message_id]
            self._outcomes.draft_again(letter, enrollment_active=is_active, suppressed=is_suppressed)
        if finding.drafts:
            mailbox = letter.mailbox
            mailbox.open += 1
            call = partial(self._outbox.remove_drafts, mailbox.lease, finding.drafts)
            self._send_for(mailbox, call, partial(_closed, mailbox), partial(_close, mailbox))

    def _disarm(self, letter: Letter, found: Collection[str]) -> None:
        """The drafts that were found, and the one that it had: the search may not see it."""
        letter.mailbox.open += 1
        drafts = {draft for draft in (letter.draft_id, *found) if draft}
        call = partial(self._outbox.disarm, letter.mailbox.lease, drafts)
        self._send_for(letter.mailbox, call, partial(self._disarmed, letter), partial(self._each_later, [letter]))

    def _disarmed(self, letter: Letter, outcome: Outcome) -> None:
        letter.mailbox.open -= 1
        self._outcomes.disarmed(letter, outcome)

    def _line_stands(self, letter: Letter) -> bool:
        """Other emails of the mailbox were accepted and are still in Drafts: so this one may be waiting with them."""
        if letter.state != State.SENDING:
            return False
        others = Message.objects.filter(
            connection=letter.mailbox.id, state=State.ACCEPTED, attempts__gt=0, check_at__isnull=False
        )
        return others.exists()

    def _sent_items_came(self, letters: Sequence[Letter], outcome: Outcome) -> None:
        """One look into Sent Items for many; those that are not there are looked for one by one, later."""
        by_key = {item.key.lower(): item for item in outcome.items}
        for letter in letters:
            item = by_key.get(str(letter.key))
            found = Outcome(kind=outcome.kind, reason=outcome.reason, items=(item,) if item else ())
            self._found(letter, found)

    def _each_later(self, letters: Sequence[Letter]) -> None:
        now = self._clock()
        for letter in letters:
            letter.mailbox.open -= 1
            check_at = max(now, letter.mailbox.rests_until or now)
            self._batch.look_later(letter, check_at, still=(letter.state, letter.draft_id))

    def _remove_draft(self, letter: Letter) -> None:
        call = partial(self._outbox.remove_drafts, letter.mailbox.lease, [letter.draft_id] if letter.draft_id else [])
        self._send_for(letter.mailbox, call, partial(self._removed, letter), partial(self._each_later, [letter]))

    def _removed(self, letter: Letter, outcome: Outcome) -> None:
        letter.mailbox.open -= 1
        self._outcomes.removed(letter, outcome)

    # --- Drafts, permits, sends ------------------------------------------------------------------------------------

    def _draft(self, letter: Letter) -> None:
        call = partial(self._outbox.draft, letter.mailbox.lease, letter.draft(), replaces=letter.replaces_draft)
        then, unmake = partial(self._drafted, letter), partial(self._put_back, letter)
        self._send_for(letter.mailbox, call, then, unmake, begins=True)

    def _look_first(self, letter: Letter) -> None:
        """After a restore an email may have left that the database knows nothing of, and a person may be wrong."""
        call = partial(self._outbox.find, letter.mailbox.id, str(letter.key))
        then, unmake = partial(self._looked_first, letter), partial(self._put_back, letter)
        self._send_for(letter.mailbox, call, then, unmake, begins=True)

    def _looked_first(self, letter: Letter, outcome: Outcome) -> None:
        copies = [item for item in outcome.items if not item.is_draft]
        armed = any(item.is_armed for item in outcome.items)
        if outcome.kind == Kind.DONE and not copies and (letter.looks_first or not armed):
            self._draft(letter)
            return
        letter.mailbox.open -= 1
        self._outcomes.found_after_restore(letter, outcome)

    def _drafted(self, letter: Letter, outcome: Outcome) -> None:
        if self._outcomes.drafted(letter, outcome):
            self.tally.drafted += 1
            letter.mailbox.drafted.append(letter)
        else:
            letter.mailbox.open -= 1

    def _put_back(self, letter: Letter) -> None:
        letter.mailbox.open -= 1
        self._batch.put_back(letter, self._clock())

    def _permit(self) -> None:
        """Permit as many as can start at once: a permit is good for seconds."""
        letters = self._next_to_permit()
        if not letters:
            return
        now = self._clock()
        by_key = {str(letter.key): letter for letter in letters}
        with transaction.atomic():
            verdicts = permission.permit([letter.ask() for letter in letters], now=now)
            held = queue.fence({letter.mailbox.lease for letter in letters})
            permitted = [
                (by_key[one.ask.key], one)
                for one in verdicts
                if isinstance(one, Permit) and one.ask.connection_id in held
            ]
            stamped = settling.stamp(permitted)
            leaving = [(letter, permit) for letter, permit in permitted if letter.message_id in stamped]
            self._count(leaving, now)
            self._observe("permit.before_commit")
        self._observe("permit.after_commit")
        for letter in letters:
            letter.mailbox.drafted.remove(letter)
        self._leave(leaving)
        self._not_leaving(letters, verdicts, leaving, held)

    def _next_to_permit(self) -> list[Letter]:
        free = self._crew.free
        found: list[Letter] = []
        now = self._clock()
        for mailbox in self._mailboxes.values():
            places = min(self._pace.at_once - mailbox.running, free - len(found))
            if mailbox.drafted and places > 0 and not _is_stopped(mailbox, now):
                found += [mailbox.drafted[index] for index in range(min(places, len(mailbox.drafted)))]
        return found

    def _count(self, leaving: Sequence[tuple[Letter, Permit]], now: datetime) -> None:
        """The daily limit and the distance are counted in the transaction that permits: no crash forgets them."""
        counts: dict[Mailbox, int] = {}
        for letter, _ in leaving:
            counts[letter.mailbox] = counts.get(letter.mailbox, 0) + 1
        rows = []
        for mailbox, count in counts.items():
            spacing = self._pace.spacing(mailbox.connection)
            if spacing:
                mailbox.hold(now + spacing, "spacing")
            today = now.astimezone(zone_of(mailbox.connection)).date()
            mailbox.connection.sent_count = mailbox.connection.sent_today(today) + count
            mailbox.connection.sent_on = today
            rows.append((mailbox.lease, count, today, now + spacing if spacing else None))
        queue.count_sent(rows)

    def _leave(self, leaving: Sequence[tuple[Letter, Permit]]) -> None:
        for letter, permit in leaving:
            call = partial(self._outbox.send, permit)
            letter.state = State.SENDING
            errand = Errand(letter.mailbox, call, partial(self._sent, letter), partial(_close, letter.mailbox))
            letter.mailbox.running += 1
            self._crew.give(errand)

    def _not_leaving(
        self,
        letters: Sequence[Letter],
        verdicts: Sequence[permission.Permit | permission.Refusal],
        leaving: Sequence[tuple[Letter, Permit]],
        held: set[int],
    ) -> None:
        """Refused, withdrawn meanwhile, or of a lease that was lost (then it is no longer ours to change)."""
        left = {letter.message_id for letter, _ in leaving}
        refused = {one.ask.message_id: one for one in verdicts if isinstance(one, permission.Refusal)}
        withdrawn = [one for one in letters if one.message_id not in left and one.message_id not in refused]
        for letter in letters:
            if letter.message_id in refused:
                self._refuse(letter, refused[letter.message_id])
        self._withdraw([letter for letter in withdrawn if letter.mailbox.id in held])
        for letter in letters:
            if letter.message_id not in left:
                letter.mailbox.open -= 1

    def _refuse(self, letter: Letter, refusal: permission.Refusal) -> None:
        self.tally.refused += 1
        now = self._clock()
        self._batch.refusals.append(refusal)
        if self._waits(letter, refusal.reason, now):
            self._batch.put_back(letter, now)
        else:
            self._outcomes.not_permitted(letter, refusal.reason)

    def _withdraw(self, letters: Sequence[Letter]) -> None:
        standing = picking.standing([letter.message_id for letter in letters])
        for letter in letters:
            is_active, is_suppressed = standing[letter.message_id]
            self._outcomes.withdrawn(letter, enrollment_active=is_active, suppressed=is_suppressed)

    def _sent(self, letter: Letter, outcome: Outcome) -> None:
        letter.mailbox.open -= 1
        self._outcomes.sent(letter, outcome)

    # --- Errands ---------------------------------------------------------------------------------------------------

    def _send_for(
        self,
        mailbox: Mailbox,
        call: Callable[[], Outcome],
        then: Callable[[Outcome], None],
        unmake: Callable[[], None],
        *,
        begins: bool = False,
    ) -> None:
        mailbox.waiting.append(Errand(mailbox, call, then, unmake, begins))

    def _give_errands(self) -> None:
        """From each mailbox in turn, as many as it may have under way; drafts that wait for a permit come first."""
        for mailbox in list(self._mailboxes.values()):
            if self._crew.free <= 0:
                return
            while mailbox.waiting and mailbox.running < self._pace.at_once and self._crew.free > 0:
                mailbox.running += 1
                self._crew.give(mailbox.waiting.popleft())

    def _came_back(self, errand: Errand, outcome: Outcome) -> None:
        mailbox = errand.mailbox
        mailbox.running -= 1
        self._breaker.told(mailbox.id, outcome.kind, delay=outcome.delay, now=time.monotonic())
        self._outcomes.note(mailbox, outcome)
        errand.then(outcome)
        now = self._clock()
        if _is_stopped(mailbox, now):
            self._unmake(mailbox, looks=mailbox.rests_until is not None and mailbox.rests_until > now)

    def _unmake_waiting(self) -> None:
        for mailbox in self._mailboxes.values():
            self._unmake(mailbox)
        for letter in self._batch.leave_unbegun():
            letter.mailbox.open -= 1

    def _unmake(self, mailbox: Mailbox, *, looks: bool = True) -> None:
        """What has not begun goes back to where it waits; drafts that are there are taken up by the next lease.

        Without `looks` only emails do: what is asked and put right in the mailbox goes on while it is held.
        """
        waiting, mailbox.waiting = mailbox.waiting, deque()
        for errand in waiting:
            if looks or errand.begins:
                errand.unmake()
            else:
                mailbox.waiting.append(errand)
        now = self._clock()
        until = max(now, mailbox.held_until) if mailbox.held_until else now
        while mailbox.drafted:
            letter = mailbox.drafted.popleft()
            mailbox.open -= 1
            self._batch.messages.append(
                MessageChange(letter=letter, state=State.DRAFTED, reason=letter.reason, check_at=until)
            )

    # --- Writing ---------------------------------------------------------------------------------------------------

    def _commit(self, *, closes: bool = True) -> None:
        """Write what has been found and planned, and (if it `closes`) give back the mailboxes that are at rest."""
        closing = [mailbox for mailbox in self._mailboxes.values() if closes and mailbox.open == 0]
        batch = self._batch
        contents = batch.contents() + (["release"] if closing else [])
        if not contents:
            return
        now = self._clock()
        for name in contents:
            self._observe(f"{name}.before_commit")
        leases = {mailbox.lease for mailbox in self._mailboxes.values()}
        held = batch.write(closing, leases, now, now + timedelta(seconds=self._pace.settle_seconds))
        for name in contents:
            self._observe(f"{name}.after_commit")
        self._batch = Batch()
        self.tally.accepted += len(batch.accepted)
        for mailbox in closing:
            del self._mailboxes[mailbox.id]
        if closing:
            self._look_at = 0.0
        self._begun(batch.begun)
        self._forget(self._mailboxes.keys() - held)
        # Last: if the database goes away here, what has begun still goes on.
        for connection_id, moment in batch.bells.items():
            queue.ring([connection_id], at=moment)

    def _begun(self, letters: Sequence[Letter]) -> None:
        for letter in letters:
            if letter.message_id and letter.state == State.DRAFTING and letter.mailbox.id in self._mailboxes:
                if letter.mailbox.connection.restored_at or letter.looks_first:
                    self._look_first(letter)
                else:
                    self._draft(letter)
            else:
                letter.mailbox.open -= 1

    def _forget(self, lost: Collection[int]) -> None:
        """Another worker has these mailboxes: nothing of them is ours to change."""
        for connection_id in list(lost):
            del self._mailboxes[connection_id]


def _may_have_left(letter: Letter) -> bool:
    """The database was restored after this was drafted: its draft may have been sent since the backup."""
    restored_at = letter.mailbox.connection.restored_at
    return bool(restored_at and letter.began_at and letter.began_at < restored_at)


def _is_held(mailbox: Mailbox, now: datetime) -> bool:
    return mailbox.held_until is not None and mailbox.held_until > now


def _is_stopped(mailbox: Mailbox, now: datetime) -> bool:
    """Held for something else than the distance between two emails."""
    return _is_held(mailbox, now) and mailbox.held_reason != "spacing"


def _close(mailbox: Mailbox) -> None:
    mailbox.open -= 1


def _closed(mailbox: Mailbox, outcome: Outcome) -> None:
    mailbox.open -= 1
