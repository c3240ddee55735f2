"""What a person who leaves has here: `accounts.leaving.Dependents`."""

from datetime import datetime

from accounts.models import User
from mailconnect import ending, stopping
from mailconnect.models import DelegationGrant, MailConnection
from mailconnect.stopping import Effect, Stop


class Mailboxes:
    """The own mailbox with the permissions given to it, and the permissions received."""

    def foresee(self, user: User, now: datetime) -> list[str]:
        sentences = []
        for connection in MailConnection.objects.live().filter(owner=user):
            effect, grants = ending.foresee_removal(connection, now)
            sentences.append(f"The mailbox {connection.address} is disconnected, and its sign-in is forgotten.")
            sentences += _pausing(effect)
            if grants:
                ends = "ends" if len(grants) == 1 else "end"
                sentences.append(f"{_count(len(grants), 'permission')} to send from {connection.address} {ends}.")
        received = DelegationGrant.objects.live(now).filter(grantee=user).select_related("connection")
        for grant in received:
            sentences.append(f"The permission to send from {grant.connection.address} ends.")
            sentences += _pausing(
                stopping.preview(Stop(connection=grant.connection, grant=grant, reason="grantee_left"), now)
            )
        return sentences

    def leave(self, user: User, actor: User | None, now: datetime) -> None:
        ending.leave(user, actor, now)


def _pausing(effect: Effect) -> list[str]:
    if not effect.sequences:
        return []
    names = ", ".join(f"“{name}”" for _, name in effect.sequences)
    pause = "pauses" if len(effect.sequences) == 1 else "pause"
    count = _count(len(effect.sequences), "sequence")
    return [f"{count} {pause}, with {_count(effect.waiting, 'email')} waiting: {names}."]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
