"""The threads that talk to Microsoft."""

import time

from mailconnect.models import MailConnection
from mailconnect.outbox import DONE, Kind, Outbox, Outcome
from mailconnect.queue import Lease
from sequences.sending.crew import Crew
from sequences.sending.letters import Errand, Mailbox


def errand(outcome: Outcome, *, seconds: float) -> Errand:
    def call() -> Outcome:
        time.sleep(seconds)
        return outcome

    lease = Lease(1, None, 1, 0.0)  # type: ignore[arg-type]
    mailbox = Mailbox(lease, MailConnection(pk=1), held_until=None, held_reason="", failures=0)
    return Errand(mailbox, call, lambda _: None, lambda: None)


def test_keeps_more_in_store_only_where_microsoft_itself_answers_soon() -> None:
    crew = Crew(Outbox(), 8)
    found, waiting = [], []

    for outcome, seconds, times in (
        (DONE, 0.6, 1),
        (DONE, 0.01, 8),
        (DONE, 3.0, 1),
        (DONE, 0.01, 1),
        (DONE, 0.01, 16),
        (Outcome(kind=Kind.LAPSED), 0.0, 1),
        (DONE, 0.0, 40),
    ):
        for _ in range(times):
            crew.give(errand(outcome, seconds=seconds))
            while not crew.collect(seconds=0.05):
                waiting.append(crew.capacity)
        found.append(crew.capacity)

    crew.dismiss()
    assert waiting[0] == 16  # nothing is known yet
    assert found == [16, 24, 16, 16, 24, 24, 128]
