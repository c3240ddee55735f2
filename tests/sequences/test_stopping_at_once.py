"""Eight threads send four hundred emails; in the middle the permission, the mailbox or the person is taken away."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from itertools import count
from typing import Any

import pytest
from django.db import connection as database
from django.utils import timezone

from accounts import leaving
from accounts.models import Notification, User
from mailconnect import ending, granting, vault
from mailconnect.granting import Terms
from mailconnect.microsoft.identity import GRAPH_SCOPES, TokenAnswer
from mailconnect.models import DelegationGrant, MailConnection
from sequences import activating, receipts
from sequences.models import Enrollment, Message, Sequence
from sequences.sending import Pace, Pump
from tests.sandbox_tenant import SandboxTenant
from tests.sequences.outreach import active_sequence, connected, enrolled

pytestmark = pytest.mark.django_db(transaction=True)

BY_BOB, BY_ALICE = 360, 40
EMAILS = BY_BOB + BY_ALICE
# Each at so many different moments; at a few where one writer at a time makes it slower.
RUNS = {"revoke": 20, "remove": 20, "deactivate the sender": 10, "deactivate the owner": 10}
RUNS_ON_SQLITE = 3
# Runs that share a mailbox and its sign-in. Not more: what the ones before have sent makes each slower.
TOGETHER = 5
DAWDLING, DAWDLING_SECONDS = 8, 0.15
PACE: dict[str, Any] = {"per_minute": None, "at_once": 8, "burst": 40, "settle_seconds": 0.1}


class Office:
    """Alice's mailbox, in which Bob's sequence and her own are under way."""

    def __init__(self, alice: User, bob: User, ada: User, tenant: SandboxTenant) -> None:
        self.alice, self.bob, self.ada, self.tenant = alice, bob, ada, tenant
        tenant.turn(calls_at_once=100, sends_per_minute=100_000, settle_seconds=0.0)
        self.mailbox = connected(alice, tenant, timezone.now())

    def begin(self) -> tuple[Sequence, Sequence]:
        """Everything is allowed; nine of ten emails are Bob's, the others Alice's own."""
        now = timezone.now()
        Sequence.objects.update(state=Sequence.State.ARCHIVED)
        Enrollment.objects.update(due_at=None)
        Message.objects.update(check_at=None, state=Message.State.CANCELLED)
        self.allow(now)
        by_bob, by_alice = active_sequence(self.bob, self.mailbox), active_sequence(self.alice, self.mailbox)
        enrolled(by_bob, BY_BOB, now)
        enrolled(by_alice, BY_ALICE, now)
        return by_bob, by_alice

    def allow(self, now: datetime) -> None:
        """Both are active, the mailbox is connected, Bob has permission."""
        for person in (self.alice, self.bob):
            leaving.activate(user=person, actor=None, now=now)
            person.refresh_from_db()
        revived = {"state": MailConnection.State.CONNECTED, "settings_read_at": now}
        MailConnection.objects.filter(pk=self.mailbox.pk).update(**revived)
        give_tokens(self.mailbox, self.tenant, now)
        if not DelegationGrant.objects.filter(archived_at=None).exists():
            granting.grant(connection=self.mailbox, grantee=self.bob, actor=self.alice, terms=Terms(), now=now)

    def stop(self, how: str) -> None:
        """Returns when it is said to be done."""
        now = timezone.now()
        match how:
            case "revoke":
                granting.revoke(grant=DelegationGrant.objects.get(archived_at=None), actor=self.alice, now=now)
            case "remove":
                ending.remove(connection=self.mailbox, actor=self.alice, now=now)
            case "deactivate the sender":
                leaving.deactivate(user=self.bob, actor=self.ada, now=now)
            case "deactivate the owner":
                leaving.deactivate(user=self.alice, actor=self.ada, now=now)

    def send(self, how: str = "", *, after: int = 0) -> float:
        """Eight threads per pump, and two pumps that want the mailbox. Returns when it was said to be stopped.

        It is stopped once `after` emails are about to leave, and those dawdle, each after its permit was committed:
        without a wait for them, requests begin after it is said to be stopped.
        """
        begun, enough = count(1), threading.Event()
        stopped: list[float] = []

        def observe(point: str) -> None:
            if point == "send.before" and how and after <= next(begun) < after + DAWDLING:
                enough.set()
                time.sleep(DAWDLING_SECONDS)

        def pump() -> None:
            with closing(database):
                Pump(pace=Pace(**PACE), in_flight=8, observe=observe).run(seconds=60)

        def stop() -> None:
            with closing(database):
                assert enough.wait(60)
                self.stop(how)
                stopped.append(time.time())

        _run_together([pump, pump, *([stop] if how else [])])
        return stopped[0] if how else 0.0


def give_tokens(mailbox: MailConnection, tenant: SandboxTenant, now: datetime) -> None:
    found = tenant.sign_in_tokens(mailbox.address)
    tokens = TokenAnswer(
        access_token=found.access_token, expires_in=found.expires_in, cache="{}", scopes=frozenset(GRAPH_SCOPES)
    )
    vault.store(connection_id=mailbox.pk, tokens=tokens, now=now)


@pytest.fixture
def office(alice: User, bob: User, ada: User, tenant: SandboxTenant) -> Office:
    return Office(alice, bob, ada, tenant)


def _cases() -> Iterator[tuple[str, list[int]]]:
    """How it is stopped, and after how many emails of Bob's, run by run: from the first to nearly the last."""
    for how, wanted in RUNS.items():
        runs = wanted if database.vendor == "postgresql" else RUNS_ON_SQLITE
        moments = [1 + (run * 2 + 1) * BY_BOB // (2 * runs) for run in range(runs)]
        parts = -(-runs // TOGETHER)
        for part in range(parts):
            yield how, moments[part::parts]


@pytest.mark.parametrize(("how", "moments"), list(_cases()))
def test_nothing_is_sent_twice_or_started_after_it_is_said_to_be_stopped_and_the_rest_goes_on_later(
    how: str, moments: list[int], office: Office
) -> None:
    is_for_bob_alone = how in ("revoke", "deactivate the sender")
    for after in moments:
        by_bob, by_alice = office.begin()
        Notification.objects.all().delete()

        stopped_at = office.send(how, after=after)

        concerned = [by_bob] if is_for_bob_alone else [by_bob, by_alice]
        _assert_nothing_began_after(stopped_at, concerned, office)
        _assert_intact(by_bob, by_alice, office)
        _assert_resumable(concerned)
        if is_for_bob_alone:
            assert _states(by_alice) == {Enrollment.State.FINISHED}, "what was not stopped has gone on"
        told = Notification.objects.filter(user=office.bob, kind="sequence_paused")
        assert told.count() == (0 if how == "deactivate the sender" else 1), "once, and not once per email"
    _assert_all_leave_once_allowed_again(by_bob, by_alice, office)


def _run_together(works: list[Callable[[], None]]) -> None:
    broken: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            broken.append(error)

    threads = [threading.Thread(target=guarded, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not broken, broken


def _assert_nothing_began_after(stopped_at: float, sequences: list[Sequence], office: Office) -> None:
    keys = {str(key) for key in Message.objects.filter(sequence__in=sequences).values_list("key", flat=True)}
    late = [call for call in office.tenant.calls("alice@demo.example", "send", since=stopped_at) if call.key in keys]
    assert not late, f"{len(late)} requests began after it was stopped, the last {late[-1].started_at - stopped_at} s"


def _assert_intact(by_bob: Sequence, by_alice: Sequence, office: Office) -> None:
    """What was submitted was submitted once and is known; what was not keeps its place."""
    submits = office.tenant.submits("alice@demo.example")
    assert set(submits.values()) == {1}
    ours = Message.objects.filter(sequence__in=[by_bob, by_alice])
    left = {str(key) for key in ours.filter(state__in=Message.LEFT).values_list("key", flat=True)}
    assert left == {str(key) for key in ours.values_list("key", flat=True)} & submits.keys()
    assert list(receipts.verify_all()) == []
    enrollments = Enrollment.objects.filter(sequence__in=[by_bob, by_alice])
    finished = enrollments.filter(state=Enrollment.State.FINISHED)
    waiting = enrollments.filter(state=Enrollment.State.ACTIVE)
    assert finished.count() == len(left)
    assert finished.count() + waiting.count() == EMAILS


def _assert_resumable(stopped: list[Sequence]) -> None:
    """Each enrollment that waits has its place and its time, and nothing under way that could leave without them."""
    for sequence in stopped:
        sequence.refresh_from_db()
        assert sequence.state == Sequence.State.PAUSED
    waiting = Enrollment.objects.filter(sequence__in=stopped, state=Enrollment.State.ACTIVE)
    assert set(waiting.values_list("next_position", flat=True)) <= {1}
    assert not waiting.filter(due_at=None).exists()
    assert not Message.objects.filter(enrollment__in=waiting, state__in=activating.UNDER_WAY).exists()


def _states(sequence: Sequence) -> set[str]:
    return set(Enrollment.objects.filter(sequence=sequence).values_list("state", flat=True))


def _assert_all_leave_once_allowed_again(by_bob: Sequence, by_alice: Sequence, office: Office) -> None:
    now = timezone.now()
    office.allow(now)
    for sequence in (by_bob, by_alice):
        assert activating.start(sequence=sequence, actor=office.ada, now=now).state == Sequence.State.ACTIVE

    office.send()

    assert _states(by_bob) == _states(by_alice) == {Enrollment.State.FINISHED}
    assert Enrollment.objects.filter(sequence__in=[by_bob, by_alice]).count() == EMAILS
    _assert_intact(by_bob, by_alice, office)
