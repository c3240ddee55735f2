"""What pauses, and what is still under way, when a mailbox or a grant stops; and how it goes on."""

from datetime import datetime

from mailconnect.models import MailConnection
from mailconnect.stopping import Effect, Stop


class Sequences:
    """`mailconnect.stopping.Dependents`, answered by sequences."""

    def preview(self, stop: Stop, now: datetime) -> Effect:
        return _effect(_depending_on(stop))

    def pause(self, stop: Stop, now: datetime) -> Effect:
        raise NotImplementedError

    def in_flight(self, stop: Stop) -> int:
        raise NotImplementedError

    def allow_again(self, connection: MailConnection, now: datetime) -> None:
        raise NotImplementedError
