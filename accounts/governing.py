"""The organization's policy: what ends, in the apps above this one, when it is tightened."""

from datetime import datetime
from typing import Protocol

from accounts.models import Organization, User


class Governed(Protocol):
    """What the policy is about. It may not be imported from here, so it registers."""

    def foresee(self, organization: Organization, now: datetime) -> list[str]:
        """Sentences that say what `apply()` would end under the policy of `organization`, saved or not."""

    def apply(self, organization: Organization, actor: User | None, now: datetime) -> None:
        """End what the policy no longer allows. Runs inside the transaction that saves it."""


_governed: list[Governed] = []


def register(governed: Governed) -> None:
    if not any(type(known) is type(governed) for known in _governed):
        _governed.append(governed)


def foresee(organization: Organization, now: datetime) -> list[str]:
    return [sentence for each in _governed for sentence in each.foresee(organization, now)]


def apply(organization: Organization, actor: User | None, now: datetime) -> None:
    for each in _governed:
        each.apply(organization, actor, now)
