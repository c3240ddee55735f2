"""What the organization's policy ends here: `accounts.governing.Governed`."""

from datetime import datetime

from accounts.models import Organization, User
from mailconnect import granting
from mailconnect.leaving import pausing_sentences

MOST_NAMED = 20


class Permissions:
    """Permissions to send that the policy no longer allows."""

    def foresee(self, organization: Organization, now: datetime) -> list[str]:
        outside = list(granting.outside_of_policy(organization, now).order_by("connection__address", "pk"))
        sentences = []
        for grant in outside[:MOST_NAMED]:
            who = grant.grantee or "the entire team"
            sentences.append(f"The permission of {who} to send from {grant.connection.address} ends.")
            sentences += pausing_sentences(granting.foresee_revocation(grant, now))
        if len(outside) > MOST_NAMED:
            sentences.append(f"{len(outside) - MOST_NAMED} more permissions end.")
        return sentences

    def apply(self, organization: Organization, actor: User | None, now: datetime) -> None:
        granting.apply_policy(organization, actor, now)
