"""What a person who leaves has here: `accounts.leaving.Dependents`."""

from collections.abc import Callable
from datetime import datetime

from accounts.models import User
from mailconnect import ending, stopping
from mailconnect.models import DelegationGrant, MailConnection
from mailconnect.stopping import Effect, Stop


class Mailboxes:
    """The own mailbox with the permissions given to it, and the permissions received."""

    def foresee(self, user: User, now: datetime) -> list[str]:
        own = stopping.preview(Stop(person=user, reason="grantee_left"), now)
        sentences = [f"{sentence} An admin can hand them over." for sentence in pausing_sentences(own)]
        for connection in MailConnection.objects.live().filter(owner=user):
            effect, grants = ending.foresee_removal(connection, now)
            sentences.append(f"The mailbox {connection.address} is disconnected, and its sign-in is forgotten.")
            sentences += pausing_sentences(_without(effect, own))
            if grants:
                ends = "ends" if len(grants) == 1 else "end"
                sentences.append(f"{_count(len(grants), 'permission')} to send from {connection.address} {ends}.")
        received = DelegationGrant.objects.live(now).filter(grantee=user).select_related("connection")
        sentences += [f"The permission to send from {grant.connection.address} ends." for grant in received]
        return sentences

    def leave(self, user: User, actor: User | None, now: datetime) -> Callable[[], int]:
        return ending.leave(user, actor, now)


def pausing_sentences(effect: Effect) -> list[str]:
    """What pauses, in at most one sentence."""
    if not effect.sequences:
        return []
    names = ", ".join(f"“{name}”" for _, name in effect.sequences)
    pause = "pauses" if len(effect.sequences) == 1 else "pause"
    count = _count(len(effect.sequences), "sequence")
    waiting = f", with {_count(effect.waiting, 'email')} waiting" if effect.waiting else ""
    return [f"{count} {pause}{waiting}: {names}."]


def _without(effect: Effect, told: Effect) -> Effect:
    """The sequences that were not told yet. Their waiting emails were counted together, so they are not told."""
    return Effect(sequences=[each for each in effect.sequences if each not in told.sequences])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
