"""The permission to send against an independent model of it: DESIGN §5, over any order of what people may do.

The model knows people, mailboxes, grants and sequences as plain Python, and says of each email whether it may leave and
of each sequence whether it runs. After every act the product must agree; and nothing has left that the model forbade.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts import leaving
from accounts.models import Organization, User
from mailconnect import ending, first_emails, granting, stopping, tasks
from mailconnect.first_emails import AlreadyDecided
from mailconnect.granting import GrantRefused, Terms
from mailconnect.models import DelegationGrant, FirstEmailApproval, MailConnection
from mailconnect.permission import Permit, Refusal
from sequences import activating, pausing, receipts
from sequences.activating import ActivationRefused
from sequences.models import Message, Sequence
from tests.mailconnect.owning import connected
from tests.sequences.permitting import permit_and_stamp, ready, running, settle

OWNERS, PEOPLE = ("alice", "dora"), ("alice", "bob", "carol", "dora")
SEQUENCES = [("alice", "alice"), ("bob", "alice"), ("carol", "alice"), ("bob", "dora")]  # runner, owner of the mailbox
TEAM = ""
owners, people = st.sampled_from(OWNERS), st.sampled_from(PEOPLE)
colleagues = st.sampled_from([*PEOPLE, TEAM])
numbers = st.integers(0, len(SEQUENCES) - 1)
MAY_WAIT = {"grant_cap", "awaiting_approval"}


@dataclass
class Given:
    """A grant in the model."""

    ends_at: datetime | None
    cap: int | None
    only: int | None  # a number of SEQUENCES
    asks_first: bool
    approved: set[int] = field(default_factory=set)
    used: dict[date, int] = field(default_factory=dict)


class Model:
    """Who may send what."""

    def __init__(self) -> None:
        self.active = set(PEOPLE)
        self.mailboxes = dict.fromkeys(OWNERS, "connected")
        self.grants: dict[tuple[str, str], Given] = {}  # by owner and colleague, or TEAM
        self.running: set[int] = set()

    def live(self, owner: str, who: str, now: datetime) -> Given | None:
        given = self.grants.get((owner, who))
        return given if given and (given.ends_at is None or given.ends_at > now) else None

    def why_not(self, number: int, now: datetime) -> tuple[str, Given | None]:
        """The rule of DESIGN §5: why an email of the sequence may not leave; or nothing, and by which grant it may."""
        runner, owner = SEQUENCES[number]
        if self.mailboxes[owner] != "connected" or owner not in self.active or runner not in self.active:
            return "stopped", None
        if runner == owner:
            return "", None
        why = "no_permission"
        for given in (self.live(owner, runner, now), self.live(owner, TEAM, now)):
            if given is None:
                continue
            if given.only not in (None, number):
                why = "grant_scope"
            elif given.asks_first and number not in given.approved:
                why = "awaiting_approval"
            elif given.cap is not None and given.used.get(day_of(now), 0) >= given.cap:
                why = "grant_cap"
            else:
                return "", given
        return why, None

    def may_run(self, number: int, now: datetime) -> bool:
        """Whether some grant covers the sequence, be it one that lets an email wait."""
        runner, owner = SEQUENCES[number]
        covering = [self.live(owner, runner, now), self.live(owner, TEAM, now)]
        covered = runner == owner or any(given and given.only in (None, number) for given in covering)
        return covered and self.mailboxes[owner] == "connected" and {runner, owner} <= self.active

    def stop(self, now: datetime) -> None:
        self.running = {number for number in self.running if self.may_run(number, now)}


def day_of(now: datetime) -> date:
    return now.astimezone(ZoneInfo("Europe/Berlin")).date()


class Permissions(RuleBasedStateMachine):
    """The product beside the model."""

    def __init__(self) -> None:
        super().__init__()
        self.undone = transaction.atomic()
        self.undone.__enter__()
        self.model = Model()
        self.now = datetime(2026, 3, 2, 9, tzinfo=UTC)
        self.emails = 0
        self.may_have_left: set[int] = set()

    def teardown(self) -> None:
        try:
            assert list(receipts.verify_all()) == []
        finally:
            transaction.set_rollback(True)
            self.undone.__exit__(None, None, None)

    @initialize(given=st.data())
    def begin(self, given: st.DataObject) -> None:
        organization = Organization.objects.create(name="Demo", time_zone="Europe/Berlin")
        self.users = {
            name: User.objects.create(email=f"{name}@demo.example", name=name.title(), organization=organization)
            for name in PEOPLE
        }
        self.ada = User.objects.create(email="ada@demo.example", role=User.Role.ADMIN, organization=organization)
        self.connections = {name: connected(self.users[name], self.now) for name in OWNERS}
        self.sequences = [
            running(self.users[runner], self.connections[owner], state=Sequence.State.DRAFT)
            for runner, owner in SEQUENCES
        ]
        self.numbers = {sequence.pk: number for number, sequence in enumerate(self.sequences)}
        self.begin_again(given)

    # --- What people may do -----------------------------------------------------------------------------------------

    @rule(given=st.data())
    def begin_again(self, given: st.DataObject) -> None:
        """Everybody is there, much is allowed, and all runs that may: without this, little would be left to stop."""
        for who in PEOPLE:
            self.come_back(who)
        for owner in OWNERS:
            self.reconnect(owner)
            for who in ("bob", TEAM):
                self._grant(owner, who, *self._terms(given))
        for number in range(len(SEQUENCES)):
            self.activate(number)

    @rule(owner=owners, who=colleagues, given=st.data())
    def grant(self, owner: str, who: str, given: st.DataObject) -> None:
        self._grant(owner, who, *self._terms(given))

    def _grant(self, owner: str, who: str, terms: Terms, wanted: Given) -> None:
        allowed = self._may_grant(owner, who) and not self.model.live(owner, who, self.now)
        expired = self._row(owner, who)
        try:
            granting.grant(
                connection=self.connections[owner],
                grantee=self.users.get(who),
                actor=self.users[owner],
                terms=terms,
                now=self.now,
            )
        except GrantRefused:
            assert not allowed
        else:
            assert allowed
            if expired:  # it made room, and what relied on it stopped
                self._stop_what_relied_on_grant(owner, who)
            self.model.grants[owner, who] = wanted

    @rule(owner=owners, who=colleagues, given=st.data())
    def change(self, owner: str, who: str, given: st.DataObject) -> None:
        old, row = self.model.live(owner, who, self.now), self._row(owner, who)
        if not row:
            return
        terms, wanted = self._terms(given)
        allowed = old is not None and self._may_grant(owner, who)
        try:
            granting.change(grant=row, actor=self.users[owner], terms=terms, now=self.now)
        except GrantRefused:
            assert not allowed
            return
        assert allowed
        assert old
        wanted.approved, wanted.used = set(old.approved), dict(old.used)
        self.model.grants[owner, who] = wanted
        self.model.stop(self.now)

    @rule(owner=owners, who=colleagues)
    def revoke(self, owner: str, who: str) -> None:
        row = self._row(owner, who)
        if row:
            assert granting.revoke(grant=row, actor=self.users[owner], now=self.now).acted
            assert not granting.revoke(grant=row, actor=self.ada, now=self.now).acted
            self.model.grants.pop((owner, who), None)
            self._stop_what_relied_on(owner)

    @rule(hours=st.sampled_from([1, 24, 73]), task_runs=st.booleans())
    def time_passes(self, hours: int, task_runs: bool) -> None:
        self.now += timedelta(hours=hours)
        if task_runs:
            tasks.expire(self.now)
            self.model.stop(self.now)

    @rule(who=people)
    def deactivate(self, who: str) -> None:
        leaving.deactivate(user=User.objects.get(pk=self.users[who].pk), actor=self.ada, now=self.now)
        if who in self.model.active:
            self.model.active.discard(who)
            if who in OWNERS:
                self._mailbox_ends(who)
            self.model.grants = {key: given for key, given in self.model.grants.items() if key[1] != who}
            for owner in OWNERS:
                self._stop_what_relied_on(owner, of=who)

    @rule(who=people)
    def come_back(self, who: str) -> None:
        leaving.activate(user=self.users[who], actor=self.ada, now=self.now)
        self.model.active.add(who)

    @rule(owner=owners)
    def remove(self, owner: str) -> None:
        if self.model.mailboxes[owner] != "removed":
            ending.remove(connection=self.connections[owner], actor=self.users[owner], now=self.now)
            self._mailbox_ends(owner)

    @rule(owner=owners)
    def lose_the_connection(self, owner: str) -> None:
        connection = MailConnection.objects.get(pk=self.connections[owner].pk)
        ending.needs_reconnecting(connection=connection, reason="access_revoked", now=self.now)
        if self.model.mailboxes[owner] == "connected":
            self.model.mailboxes[owner] = "reconnect"
            self._stop_from(owner)

    @rule(owner=owners)
    def reconnect(self, owner: str) -> None:
        if owner in self.model.active:
            MailConnection.objects.filter(pk=self.connections[owner].pk).update(state="connected", reason="")
            self.connections[owner].refresh_from_db()
            stopping.allow_again(self.connections[owner], self.now)
            self.model.mailboxes[owner] = "connected"

    @rule(number=numbers)
    def activate(self, number: int) -> None:
        sequence = self.sequences[number]
        allowed = self.model.may_run(number, self.now)
        try:
            activating.start(sequence=sequence, actor=self.users[SEQUENCES[number][0]], now=self.now)
        except ActivationRefused:
            assert not allowed or number in self.model.running
        else:
            assert allowed or number in self.model.running
            self.model.running.add(number)

    @precondition(lambda self: FirstEmailApproval.objects.filter(approved_at=None, declined_at=None).exists())
    @rule()
    def approve_a_first_email(self) -> None:
        approval = FirstEmailApproval.objects.filter(approved_at=None, declined_at=None).first()
        assert approval
        grant = DelegationGrant.objects.get(pk=approval.grant_id)
        owner = next(name for name in OWNERS if self.connections[name].pk == grant.connection_id)
        who = next((name for name in PEOPLE if self.users[name].pk == grant.grantee_id), TEAM)
        try:
            first_emails.answer(approval=approval, approved=True, actor=self.users[owner], now=self.now)
        except AlreadyDecided:
            assert grant.archived_at or not self.model.live(owner, who, self.now)
            approval.delete()
        else:
            self.model.grants[owner, who].approved.add(self.numbers[approval.sequence_id])

    @rule(left_out=st.sets(numbers, max_size=2))
    def send(self, left_out: set[int]) -> None:
        """Two emails of each running sequence come to their turn together, as in the pump: so a cap is soon reached."""
        turn = sorted(self.model.running - left_out) * 2
        self.emails += len(turn)
        messages = [
            ready(self._fresh(number), self.now, name=f"n{self.emails - place}") for place, number in enumerate(turn)
        ]
        verdicts = permit_and_stamp(messages, self.now)
        for number, message, verdict in zip(turn, messages, verdicts, strict=True):
            why, given = self.model.why_not(number, self.now)
            assert isinstance(verdict, Permit) == (why == ""), f"{SEQUENCES[number]}: {why or 'allowed'}, {verdict}"
            if isinstance(verdict, Permit):
                assert (verdict.grant is None) == (given is None)
                self.may_have_left.add(message.pk)
                settle(message, self.now)
                if given and given.cap is not None:
                    given.used[day_of(self.now)] = given.used.get(day_of(self.now), 0) + 1
            else:  # what some grant covers may only have to wait; else its sequence would be refused for ever
                assert (verdict.reason in MAY_WAIT) == self.model.may_run(number, self.now)
        pausing.pause_refused([each for each in verdicts if isinstance(each, Refusal)], self.now)
        self._stop_refused(verdicts)

    # --- What must hold ---------------------------------------------------------------------------------------------

    # Said again so that it comes as often as all that may stop it.
    @rule()
    def send_all(self) -> None:
        self.send(set())

    @rule()
    def send_all_again(self) -> None:
        self.send(set())

    @rule()
    def send_all_once_more(self) -> None:
        self.send(set())

    @invariant()
    def the_same_sequences_run(self) -> None:
        active = Sequence.objects.filter(state=Sequence.State.ACTIVE).values_list("pk", flat=True)
        assert {self.numbers[pk] for pk in active} == self.model.running

    @invariant()
    def nothing_left_that_might_not(self) -> None:
        left = Message.objects.filter(state__in=Message.LEFT).values_list("pk", flat=True)
        assert set(left) == self.may_have_left

    # --- The model's own consequences -------------------------------------------------------------------------------

    def _may_grant(self, owner: str, who: str) -> bool:
        is_fit = who == TEAM or (who != owner and who in self.model.active)
        return owner in self.model.active and self.model.mailboxes[owner] == "connected" and is_fit

    def _terms(self, given: st.DataObject) -> tuple[Terms, Given]:
        days = given.draw(st.sampled_from([None, 1, 3]))
        cap = given.draw(st.sampled_from([None, 1, 3]))
        only = given.draw(st.sampled_from([None, None, None, *range(len(SEQUENCES))]))
        asks_first = given.draw(st.sampled_from([False, False, False, True]))
        ends_at = self.now + timedelta(days=days) if days else None
        sequence_id = None if only is None else self.sequences[only].pk
        terms = Terms(expires_at=ends_at, daily_cap=cap, sequence_id=sequence_id, approve_first_email=asks_first)
        return terms, Given(ends_at, cap, only, asks_first)

    def _row(self, owner: str, who: str) -> DelegationGrant | None:
        rows = DelegationGrant.objects.filter(connection=self.connections[owner], archived_at=None)
        return rows.select_related("connection__owner", "grantee").filter(grantee=self.users.get(who)).first()

    def _fresh(self, number: int) -> Sequence:
        return Sequence.objects.select_related("owner", "connection").get(pk=self.sequences[number].pk)

    def _mailbox_ends(self, owner: str) -> None:
        self.model.mailboxes[owner] = "removed"
        self.model.grants = {key: given for key, given in self.model.grants.items() if key[0] != owner}
        self._stop_from(owner)

    def _stop_from(self, owner: str) -> None:
        self.model.running = {number for number in self.model.running if SEQUENCES[number][1] != owner}

    def _stop_what_relied_on_grant(self, owner: str, who: str) -> None:
        self.model.running = {
            number
            for number in self.model.running
            if SEQUENCES[number][1] != owner
            or who not in (TEAM, SEQUENCES[number][0])
            or self.model.may_run(number, self.now)
        }

    def _stop_what_relied_on(self, owner: str, of: str = "") -> None:
        self.model.running = {
            number
            for number in self.model.running
            if SEQUENCES[number][1] != owner or self.model.may_run(number, self.now)
        }
        if of:
            self.model.running = {number for number in self.model.running if SEQUENCES[number][0] != of}

    def _stop_refused(self, verdicts: list[Permit | Refusal]) -> None:
        """A refusal that does not pass by itself pauses what of that person, from that mailbox, is not covered."""
        for verdict in verdicts:
            if isinstance(verdict, Refusal) and verdict.reason not in MAY_WAIT:
                runner, owner = SEQUENCES[self.numbers[verdict.ask.sequence_id]]
                self.model.running = {
                    number
                    for number in self.model.running
                    if SEQUENCES[number] != (runner, owner) or self.model.may_run(number, self.now)
                }


@pytest.mark.django_db
def test_to_send_is_as_its_model_says_whatever_people_do() -> None:
    run_state_machine_as_test(
        Permissions,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            derandomize=True,  # the same orders of acts in every run
        ),
    )
