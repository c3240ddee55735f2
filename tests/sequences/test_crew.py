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
    found = []

    for outcome, seconds in ((DONE, 0.6), (DONE, 0.01), (Outcome(kind=Kind.LAPSED), 0.0), (DONE, 0.0)):
        crew.give(errand(outcome, seconds=seconds))
        assert crew.collect(seconds=5.0)
        found.append(crew.capacity)

    crew.dismiss()
    assert found == [16, 24, 24, 64]
