"""Connected mailboxes with their tokens and queue place, and the permissions to send from them."""

import uuid
from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import F, Q
from django.db.models.base import ModelState
from django.utils import timezone

from accounts.models import Organization, User
from mailconnect.encryption import EncryptedText

FLOW_LIFE = timedelta(minutes=10)
REQUEST_LIFE = timedelta(days=14)


class MailConnectionQuerySet(models.QuerySet["MailConnection"]):
    def live(self) -> "MailConnectionQuerySet":
        """Connected or waiting to be reconnected: anything but removed."""
        return self.exclude(state=MailConnection.State.REMOVED)

    def connected(self) -> "MailConnectionQuerySet":
        return self.filter(state=MailConnection.State.CONNECTED)

    def usable_by(self, user: User, now: datetime, *, sequence_id: int | None = None) -> "MailConnectionQuerySet":
        """The mailboxes that `user` may choose as a sender now: the own one and those with a live grant.

        A grant for one sequence counts for that `sequence_id` alone (none: a sequence that is not there yet).
        A choice, not the permission: that is asked again for every message, in `permission.permit()`.
        """
        granted = DelegationGrant.objects.live(now).filter(
            Q(grantee=user) | Q(grantee=None), Q(sequence_id=None) | Q(sequence_id=sequence_id)
        )
        return self.live().filter(
            Q(owner=user) | Q(pk__in=granted.values("connection")),
            organization=user.organization_id,
            owner__is_active=True,
        )


class MailConnection(models.Model):
    """A person's mailbox, connected to us; keyed on Microsoft's (tenant, object) ids, never on an address.

    The row is also the mailbox's place in the queue: when it is due, who works on it, and how much room it has.
    """

    class State(models.TextChoices):
        CONNECTED = "connected", "Connected"
        RECONNECT = "reconnect", "Needs reconnecting"
        REMOVED = "removed", "Removed"

    class AutomaticReplies(models.TextChoices):
        DISABLED = "disabled", "Off"
        ALWAYS = "always", "On"
        SCHEDULED = "scheduled", "Scheduled"

    organization = models.ForeignKey(Organization, models.PROTECT, related_name="mail_connections", db_index=False)
    owner = models.ForeignKey(User, models.PROTECT, related_name="mail_connections")
    address = models.EmailField()
    display_name = models.CharField(max_length=200, blank=True)
    tenant_id = models.CharField(max_length=36)
    object_id = models.CharField(max_length=36)
    state = models.CharField(max_length=12, choices=State, default=State.CONNECTED)
    reason = models.CharField(max_length=60, blank=True)  # why it needs reconnecting: a key of `reasons.SENTENCES`
    connected_at = models.DateTimeField(default=timezone.now)
    state_changed_at = models.DateTimeField(default=timezone.now)

    # What the owner chose on the Manage page.
    signature_on = models.BooleanField("add my signature", default=False)
    signature_html = models.TextField("signature", blank=True)
    daily_limit = models.PositiveIntegerField("emails a day", default=200)
    spacing_seconds = models.PositiveIntegerField("seconds between two emails", default=60)
    send_while_away = models.BooleanField("send although automatic replies are on", default=False)

    # What Microsoft says of the mailbox, read again when older than 15 minutes and something is due.
    time_zone = models.CharField(max_length=64, blank=True)  # an IANA name
    working_days = models.CharField(max_length=7, blank=True)  # ISO weekdays, Monday is 1: "12345"
    working_from = models.TimeField(null=True, blank=True)
    working_until = models.TimeField(null=True, blank=True)
    automatic_replies = models.CharField(max_length=10, choices=AutomaticReplies, default=AutomaticReplies.DISABLED)
    away_from = models.DateTimeField(null=True, blank=True)
    away_until = models.DateTimeField(null=True, blank=True)
    settings_read_at = models.DateTimeField(null=True, blank=True)

    # The queue: claimed by lease, fenced by epoch.
    due_at = models.DateTimeField(null=True, blank=True, editable=False)
    lease_owner = models.UUIDField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    lease_epoch = models.PositiveBigIntegerField(default=0, editable=False)
    # Room: nothing leaves before `held_until`; `sent_count` is of the mailbox's day `sent_on`.
    held_until = models.DateTimeField(null=True, blank=True, editable=False)
    held_reason = models.CharField(max_length=60, blank=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False)  # in a row; the breaker's memory
    # The longest that an accepted email was seen in Drafts: what is ambiguous is looked at for ten times as long.
    longest_settle_seconds = models.PositiveIntegerField(default=0, editable=False)
    # The database was restored from a backup then: emails that it does not know may have left before.
    restored_at = models.DateTimeField(null=True, blank=True, editable=False)
    sent_on = models.DateField(null=True, blank=True, editable=False)
    sent_count = models.PositiveIntegerField(default=0, editable=False)

    objects = MailConnectionQuerySet.as_manager()

    if TYPE_CHECKING:
        token_cache: "TokenCache"

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "tenant_id", "object_id"], name="one_connection_per_mailbox"
            ),
            models.UniqueConstraint(
                fields=["tenant_id", "object_id"], condition=~Q(state="removed"), name="one_live_connection_anywhere"
            ),
            models.UniqueConstraint(
                fields=["owner"], condition=~Q(state="removed"), name="one_live_connection_per_owner"
            ),
            models.CheckConstraint(
                condition=Q(lease_owner=None, lease_until=None)
                | Q(lease_owner__isnull=False, lease_until__isnull=False),
                name="lease_has_owner_and_end",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="connected"), name="connections_due"),
        ]

    def __str__(self) -> str:
        return self.address

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any]) -> "MailConnection":  # type: ignore[override]
        """As Django's, without the constructor: its work for each field was a fifth of all that finding work costs."""
        row = cls.__new__(cls)
        row.__dict__.update(zip(field_names, values, strict=True))
        row._state = ModelState()
        row._state.adding, row._state.db = False, db
        return row

    def is_away(self, now: datetime) -> bool:
        """Automatic replies answer for the owner now, and the owner did not say to send anyway."""
        if self.send_while_away:
            return False
        if self.automatic_replies == self.AutomaticReplies.SCHEDULED:
            return bool(self.away_from and self.away_until and self.away_from <= now < self.away_until)
        return self.automatic_replies == self.AutomaticReplies.ALWAYS

    def sent_today(self, today: date) -> int:
        return self.sent_count if self.sent_on == today else 0


class TokenCache(models.Model):
    """A connection's secrets, in a table of their own: one unreadable row must not take a list page down."""

    connection = models.OneToOneField(MailConnection, models.CASCADE, related_name="token_cache", primary_key=True)
    # JSON {"connection": id, "cache": msal's serialized cache}: the id is checked after decryption.
    envelope = EncryptedText()
    # JSON {"connection": id, "token": …}: the hot path reads this alone.
    access_envelope = EncryptedText(blank=True)
    access_expires_at = models.DateTimeField(null=True, blank=True)
    refresh_owner = models.UUIDField(null=True, blank=True)
    refresh_until = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"Tokens of connection {self.connection_id}"


class ConsentFlow(models.Model):
    """A sign-in at Microsoft under way: single-use, bound to the session that began it, alive for ten minutes."""

    state_hash = models.CharField(max_length=64, unique=True)
    session_hash = models.CharField(max_length=64)
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    in_popup = models.BooleanField(default=True)
    envelope = EncryptedText()  # msal's flow: it holds the PKCE verifier
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"Sign-in of user {self.user_id}"


class InboxCursor(models.Model):
    """How far a mailbox is read, folder by folder, and who is reading: claimed by a conditional update."""

    connection = models.OneToOneField(MailConnection, models.CASCADE, related_name="inbox_cursor", primary_key=True)
    inbox_link = models.TextField(blank=True)  # Graph's nextLink or deltaLink: where to go on
    junk_link = models.TextField(blank=True)
    read_until = models.DateTimeField(null=True, blank=True)  # all that came into these folders before was seen
    swept_until = models.DateTimeField(null=True, blank=True)  # and into any other folder
    sweep_link = models.TextField(blank=True)  # where an unfinished sweep goes on
    due_at = models.DateTimeField(db_index=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)  # in a row

    def __str__(self) -> str:
        return f"Inbox of connection {self.connection_id}"


class AdminConsent(models.Model):
    """The organization waits for its IT to approve the app. `tenant_hint` is what the redirect said: no proof."""

    organization = models.OneToOneField(Organization, models.CASCADE, related_name="admin_consent")
    requested_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    approved_at = models.DateTimeField(null=True, blank=True)
    tenant_hint = models.CharField(max_length=36, blank=True)

    def __str__(self) -> str:
        return f"Approval for {self.organization}"


class DefaultMailbox(models.Model):
    """The mailbox that a user's new sequences begin with: the own one, or one granted."""

    user = models.OneToOneField(User, models.CASCADE, related_name="default_mailbox", primary_key=True)
    connection = models.ForeignKey(MailConnection, models.CASCADE, related_name="+")

    def __str__(self) -> str:
        return f"Default mailbox of user {self.user_id}"


class DelegationGrantQuerySet(models.QuerySet["DelegationGrant"]):
    def live(self, now: datetime) -> "DelegationGrantQuerySet":
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now), archived_at=None)


class DelegationGrant(models.Model):
    """The owner's word that a colleague (or, without `grantee`, the entire team) may send from the mailbox.

    The terms never change: other terms are a new grant with the next version, and the old one is archived. So a
    receipt that names a grant names its terms.
    """

    class Archived(models.TextChoices):
        REVOKED = "revoked", "Revoked"
        CHANGED = "changed", "Replaced by new terms"
        EXPIRED = "expired", "Expired"
        MAILBOX_REMOVED = "mailbox_removed", "Mailbox removed"
        OWNER_LEFT = "owner_left", "Owner deactivated"
        GRANTEE_LEFT = "grantee_left", "Colleague deactivated"
        POLICY = "policy", "Organization policy"

    connection = models.ForeignKey(MailConnection, models.PROTECT, related_name="grants")
    grantee = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="grants_received")
    granted_by = models.ForeignKey(User, models.PROTECT, related_name="grants_given")
    version = models.PositiveIntegerField(default=1)
    expires_at = models.DateTimeField(null=True, blank=True)
    daily_cap = models.PositiveIntegerField(null=True, blank=True)
    # An id, not a foreign key: `mailconnect` knows nothing of sequences. Sequences are never deleted.
    sequence_id = models.PositiveBigIntegerField("one sequence only", null=True, blank=True)
    approve_first_email = models.BooleanField("I approve the first email of each sequence", default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    archived_reason = models.CharField(max_length=20, choices=Archived, blank=True, editable=False)
    archived_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+", editable=False)
    # Counted in the transaction that permits, so that the cap holds with any number of workers.
    used_on = models.DateField(null=True, blank=True, editable=False)
    used_count = models.PositiveIntegerField(default=0, editable=False)

    objects = DelegationGrantQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "grantee"], condition=Q(archived_at=None), name="one_live_grant_per_colleague"
            ),
            models.UniqueConstraint(
                fields=["connection"], condition=Q(archived_at=None, grantee=None), name="one_live_grant_for_the_team"
            ),
            models.CheckConstraint(
                condition=Q(archived_at=None, archived_reason="")
                | Q(archived_at__isnull=False) & ~Q(archived_reason=""),
                name="archived_has_a_reason",
            ),
            models.CheckConstraint(condition=~Q(grantee=F("granted_by")), name="nobody_grants_to_oneself"),
        ]
        indexes = [
            models.Index(fields=["grantee"], condition=Q(archived_at=None), name="grants_of_colleague"),
            models.Index(fields=["expires_at"], condition=Q(archived_at=None), name="grants_expiring"),
        ]

    def __str__(self) -> str:
        return f"{self.connection} → {self.grantee or 'entire team'}"

    @property
    def last_moment(self) -> datetime | None:
        """For people: who reads "until the 24th" expects the 24th to count, and it ends at midnight after it."""
        return self.expires_at - timedelta(seconds=1) if self.expires_at else None

    def is_live(self, now: datetime) -> bool:
        return self.archived_at is None and (self.expires_at is None or self.expires_at > now)

    def used_today(self, today: date) -> int:
        return self.used_count if self.used_on == today else 0


class DelegationRequest(models.Model):
    """A recruiter asks a mailbox's owner for permission."""

    class State(models.TextChoices):
        REQUESTED = "requested", "Requested"
        APPROVED = "approved", "Approved"
        DECLINED = "declined", "Declined"
        LAPSED = "lapsed", "Lapsed"
        WITHDRAWN = "withdrawn", "Withdrawn"

    connection = models.ForeignKey(MailConnection, models.PROTECT, related_name="requests")
    requester = models.ForeignKey(User, models.PROTECT, related_name="requests_made")
    sequence_id = models.PositiveBigIntegerField(null=True, blank=True)
    note = models.CharField(max_length=500, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.REQUESTED)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    lapses_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True, editable=False)
    grant = models.ForeignKey(DelegationGrant, models.PROTECT, null=True, blank=True, related_name="+", editable=False)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "requester"],
                condition=Q(state="requested"),
                name="one_open_request_per_colleague",
            )
        ]
        indexes = [models.Index(fields=["lapses_at"], condition=Q(state="requested"), name="requests_lapsing")]

    def __str__(self) -> str:
        return f"{self.requester} asks for {self.connection}"


class FirstEmailApproval(models.Model):
    """Under a grant with `approve_first_email`: the owner has read a sequence's first email and said yes."""

    grant = models.ForeignKey(DelegationGrant, models.PROTECT, related_name="approvals")
    sequence_id = models.PositiveBigIntegerField()
    message_key = models.UUIDField(default=uuid.uuid4)  # the email that was shown
    requested_at = models.DateTimeField(default=timezone.now)
    approved_at = models.DateTimeField(null=True, blank=True)
    declined_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["grant", "sequence_id"], name="one_approval_per_sequence")]

    def __str__(self) -> str:
        return f"First email of sequence {self.sequence_id} under grant {self.grant_id}"
