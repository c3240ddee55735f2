"""Sequences and their steps, candidates and their enrollments, and each single message."""

import uuid

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.models import Organization, User
from mailconnect.models import DelegationGrant, MailConnection
from sequences.reasons import ANSWERED, CORRECTIONS


class SequenceQuerySet(models.QuerySet["Sequence"]):
    def of(self, user: User) -> "SequenceQuerySet":
        """What `user` may look at: the sequences of the own organization."""
        return self.filter(organization=user.organization_id)


class Sequence(models.Model):
    """A series of emails from one person's mailbox (or several, where steps name their own)."""

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"
        ARCHIVED = "archived", "Archived"

    organization = models.ForeignKey(Organization, models.PROTECT, related_name="sequences")
    owner = models.ForeignKey(User, models.PROTECT, related_name="sequences")
    name = models.CharField(max_length=120)
    connection = models.ForeignKey(
        MailConnection, models.PROTECT, null=True, blank=True, related_name="sequences", verbose_name="send from"
    )
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    # Why it is paused: a key of `reasons.PAUSED`. Empty when its owner paused it.
    paused_reason = models.CharField(max_length=60, blank=True)
    # Empty fields inherit from the mailbox, then from the organization.
    time_zone = models.CharField(max_length=64, blank=True)
    window_days = models.CharField(max_length=7, blank=True)  # ISO weekdays, Monday is 1: "12345"
    window_from = models.TimeField(null=True, blank=True)
    window_until = models.TimeField(null=True, blank=True)
    in_candidate_time = models.BooleanField("use the candidate's time zone where it is known", default=True)
    # Nothing of it leaves before `held_until`, for `held_reason` (a key of `reasons.WAITING`); it goes on by itself.
    held_until = models.DateTimeField(null=True, blank=True, editable=False)
    held_reason = models.CharField(max_length=60, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    activated_at = models.DateTimeField(null=True, blank=True, editable=False)
    state_changed_at = models.DateTimeField(default=timezone.now, editable=False)
    # On its way to `active`: since when the times of its enrollments are planned, and up to which id they are.
    starting_at = models.DateTimeField(null=True, blank=True, editable=False)
    planned_up_to = models.PositiveBigIntegerField(default=0, editable=False)

    objects = SequenceQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["organization", "state", "-created_at"], name="sequences_of_organization"),
            models.Index(fields=["connection", "state"], name="sequences_of_mailbox"),
            models.Index(fields=["owner", "state"], name="sequences_of_owner"),
            models.Index(fields=["starting_at"], condition=Q(starting_at__isnull=False), name="sequences_starting"),
        ]

    def __str__(self) -> str:
        return self.name


class Step(models.Model):
    """One email of a sequence. The first step's delay counts from the enrollment (or the activation, if later)."""

    class Kind(models.TextChoices):
        NEW_THREAD = "new_thread", "New thread"
        REPLY = "reply", "Reply in the same thread"

    class Unit(models.TextChoices):
        MINUTES = "minutes", "minutes"
        HOURS = "hours", "hours"
        DAYS = "days", "days"
        BUSINESS_DAYS = "business_days", "business days"

    sequence = models.ForeignKey(Sequence, models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField(validators=[MinValueValidator(1)])
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.NEW_THREAD)
    connection = models.ForeignKey(
        MailConnection,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="steps",
        verbose_name="send from",
        help_text="Empty: as the sequence.",
    )
    delay = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(365)])
    delay_unit = models.CharField(max_length=14, choices=Unit, default=Unit.BUSINESS_DAYS)
    at_time = models.TimeField("at", null=True, blank=True)  # with days: not before this time of day
    subject = models.CharField(max_length=255, blank=True)
    body = models.TextField(max_length=100_000)  # cleaned HTML with Liquid tokens

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["sequence", "position"], name="one_step_per_position")]

    def __str__(self) -> str:
        return f"Step {self.position}"

    @property
    def delay_words(self) -> str:
        """ "3 business days after step 1", "at once": when it is due, without the time of day."""
        after = "the candidate is enrolled" if self.position == 1 else f"step {self.position - 1}"
        if not self.delay:
            return "at once" if self.position == 1 else f"right after {after}"
        unit = self.Unit(self.delay_unit).label
        return f"{self.delay} {unit.removesuffix('s') if self.delay == 1 else unit} after {after}"


class Candidate(models.Model):
    """A person we may write to: one row per address in an organization."""

    organization = models.ForeignKey(Organization, models.PROTECT, related_name="candidates", db_index=False)
    email = models.EmailField("e-mail")
    first_name = models.CharField(max_length=100, blank=True)
    last_name = models.CharField(max_length=100, blank=True)
    company = models.CharField(max_length=150, blank=True)
    role_title = models.CharField("role", max_length=150, blank=True)
    time_zone = models.CharField(max_length=64, blank=True)
    fields = models.JSONField(default=dict, blank=True)  # further columns of an import, usable as tokens
    last_import = models.ForeignKey(
        "CandidateImport", models.SET_NULL, null=True, blank=True, related_name="candidates", editable=False
    )  # the latest file that named the candidate
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    erased_at = models.DateTimeField(null=True, blank=True, editable=False)  # their data is gone, see `erasing`

    class Meta:
        constraints = [models.UniqueConstraint("organization", Lower("email"), name="one_candidate_per_address")]
        # Those for the search are made by the migration `candidate_search`, since they differ by database.
        indexes = [models.Index(fields=["organization", "-created_at", "-id"], name="candidates_newest")]

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}".strip() or self.email


class Suppression(models.Model):
    """Do not write to this address, for good."""

    class Reason(models.TextChoices):
        OPT_OUT = "opt_out", "Opted out"
        BOUNCED = "bounced", "Address bounced"
        BY_HAND = "by_hand", "Entered by a colleague"

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="suppressions", db_index=False)
    email = models.EmailField("e-mail")
    reason = models.CharField(max_length=10, choices=Reason, default=Reason.BY_HAND)
    created_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint("organization", Lower("email"), name="one_suppression_per_address")]

    def __str__(self) -> str:
        return f"{self.email} ({self.get_reason_display()})"


class Enrollment(models.Model):
    """One candidate's way through one sequence."""

    class State(models.TextChoices):
        ACTIVE = "active", "Active"  # goes on at `due_at`, or waits for its message to settle
        HELD = "held", "Needs you"  # a person must decide; `reason` says what
        FINISHED = "finished", "Finished"
        STOPPED = "stopped", "Stopped"

    sequence = models.ForeignKey(Sequence, models.PROTECT, related_name="enrollments", db_index=False)
    candidate = models.ForeignKey(Candidate, models.PROTECT, related_name="enrollments", db_index=False)
    # The mailbox of the next step, for the queue. Kept true by `enrolling` and `sending`.
    connection = models.ForeignKey(MailConnection, models.PROTECT, null=True, related_name="+", db_index=False)
    enrolled_by = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    state = models.CharField(max_length=10, choices=State, default=State.ACTIVE)
    reason = models.CharField(max_length=60, blank=True)  # a key of `reasons.HELD` or `reasons.STOPPED`
    detail = models.CharField(max_length=300, blank=True)  # for example the token without a value
    next_position = models.PositiveSmallIntegerField(default=1)
    # When the next step is due; none while a message is under way, and once there is no next step.
    due_at = models.DateTimeField(null=True, blank=True)
    last_sent_at = models.DateTimeField(null=True, blank=True)
    # An automatic reply says that the candidate is away: nothing is due before.
    away_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sequence", "candidate"], name="one_enrollment_per_candidate"),
            models.CheckConstraint(
                condition=Q(state="active", reason="") | Q(state="finished") | ~Q(reason=""),
                name="held_and_stopped_have_a_reason",
            ),
        ]
        indexes = [
            models.Index(
                fields=["connection", "sequence", "due_at", "id"],
                condition=Q(state="active", due_at__isnull=False),
                name="enrollments_due",
            ),
            models.Index(fields=["sequence", "state", "id"], name="enrollments_of_sequence"),
            models.Index(fields=["sequence", "id"], name="enrollments_in_order"),
            models.Index(fields=["candidate"], name="enrollments_of_candidate"),
        ]

    def __str__(self) -> str:
        return f"{self.candidate} in {self.sequence}"


class Message(models.Model):
    """One email of an enrollment: a small state machine whose every state is committed before what it announces.

    planned → drafting → drafted → sending → accepted → sent, and the ends refused, failed, cancelled, unknown.
    """

    class State(models.TextChoices):
        PLANNED = "planned", "Planned"
        DRAFTING = "drafting", "Being drafted"
        DRAFTED = "drafted", "Drafted"
        SENDING = "sending", "Being sent"
        ACCEPTED = "accepted", "Accepted by Microsoft"
        SENT = "sent", "Sent"
        REFUSED = "refused", "Refused"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"
        UNKNOWN = "unknown", "Unknown"

    # From here on the message may have left: it carries its permit.
    LEFT = (State.SENDING, State.ACCEPTED, State.SENT, State.UNKNOWN)

    enrollment = models.ForeignKey(Enrollment, models.PROTECT, related_name="messages", db_index=False)
    step = models.ForeignKey(Step, models.PROTECT, related_name="messages")
    sequence = models.ForeignKey(Sequence, models.PROTECT, related_name="messages", db_index=False)
    connection = models.ForeignKey(MailConnection, models.PROTECT, related_name="messages", db_index=False)
    key = models.UUIDField(default=uuid.uuid4, unique=True)  # travels with the draft as an extended property
    state = models.CharField(max_length=10, choices=State, default=State.PLANNED)
    reason = models.CharField(max_length=60, blank=True)  # a key of `reasons.MESSAGE`

    # Frozen when planned.
    to_address = models.EmailField()
    to_name = models.CharField(max_length=200, blank=True)
    subject = models.CharField(max_length=255)
    body_html = models.TextField()
    body_hash = models.CharField(max_length=64)  # sha256 of subject, line feed, body
    reply_to = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="followed_by", db_index=False
    )

    # What Microsoft calls it.
    draft_id = models.CharField(max_length=300, blank=True)
    sent_id = models.CharField(max_length=300, blank=True)
    internet_message_id = models.CharField(max_length=300, blank=True)
    conversation_id = models.CharField(max_length=300, blank=True)

    # Under way: whose lease, how often tried, and when the reconciler or a retry looks next (none once final).
    epoch = models.PositiveBigIntegerField(default=0, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    check_at = models.DateTimeField(null=True, blank=True, editable=False)

    planned_at = models.DateTimeField(default=timezone.now, editable=False)
    drafted_at = models.DateTimeField(null=True, blank=True, editable=False)
    sending_at = models.DateTimeField(null=True, blank=True, editable=False)
    accepted_at = models.DateTimeField(null=True, blank=True, editable=False)
    sent_at = models.DateTimeField(null=True, blank=True, editable=False)

    # The permit, stamped in the transaction that set `sending`, and its signature: the receipt.
    permitted_at = models.DateTimeField(null=True, blank=True, editable=False)
    permitted_to = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="+", editable=False, db_index=False
    )
    grant = models.ForeignKey(
        DelegationGrant, models.PROTECT, null=True, blank=True, related_name="+", editable=False, db_index=False
    )  # none: as the mailbox's owner
    grant_version = models.PositiveIntegerField(null=True, blank=True, editable=False)
    grant_digest = models.CharField(max_length=64, blank=True, editable=False)  # of the terms that were permitted under
    receipt_key = models.CharField(max_length=20, blank=True, editable=False)
    receipt = models.CharField(max_length=64, blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["enrollment", "step"], name="one_message_per_step"),
            models.CheckConstraint(
                condition=~Q(state__in=["sending", "accepted", "sent", "unknown"])
                | Q(permitted_at__isnull=False, permitted_to__isnull=False) & ~Q(receipt=""),
                name="what_left_carries_its_permit",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["drafting", "drafted", "sending", "accepted"]) | Q(check_at__isnull=False),
                name="under_way_is_looked_after",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["refused", "failed", "unknown"]) | ~Q(reason=""), name="ends_have_a_reason"
            ),
        ]
        indexes = [
            models.Index(
                fields=["connection", "check_at"], condition=Q(check_at__isnull=False), name="messages_to_look_after"
            ),
            models.Index(fields=["grant"], condition=Q(state="sending"), name="messages_leaving_under_grant"),
            models.Index(fields=["connection", "-permitted_at"], name="messages_from_mailbox"),
            models.Index(fields=["sequence", "state", "id"], name="messages_of_sequence"),
            models.Index(fields=["sequence", "id"], name="messages_in_order"),
            models.Index(fields=["permitted_to", "-permitted_at"], name="messages_by_person"),
            models.Index(fields=["reply_to"], condition=Q(reply_to__isnull=False), name="messages_answering"),
            # For what comes in: which of ours does it answer?
            models.Index(
                fields=["connection", "internet_message_id"],
                condition=~Q(internet_message_id=""),
                name="messages_by_internet_id",
            ),
            models.Index(
                fields=["connection", "conversation_id"],
                condition=~Q(conversation_id=""),
                name="messages_by_conversation",
            ),
        ]

    def __str__(self) -> str:
        return f"Message {self.key}"


class IncomingMailQuerySet(models.QuerySet["IncomingMail"]):
    def of(self, user: User) -> "IncomingMailQuerySet":
        """What `user` may read: answers to the own sequences and in the own mailbox; an admin, all."""
        own = self.filter(organization=user.organization_id)
        return own if user.is_admin else own.filter(Q(sequence__owner=user) | Q(connection__owner=user))

    def for_pages(self) -> "IncomingMailQuerySet":
        """The newest first, with what `_incoming.html` shows of each."""
        related = self.select_related("enrollment__candidate", "sequence", "connection", "corrected_by")
        return related.order_by("-received_at", "-id")

    def forget_texts(self) -> int:
        """What is left says that something came, what it was taken for, and what followed."""
        return self.update(from_address="", subject="", preview="")


class IncomingMail(models.Model):
    """An email that answers one of ours, and what we made of it.

    Of the text only a short preview is kept: the email itself stays in the mailbox, where its owner has it.
    """

    class Kind(models.TextChoices):
        REPLY = "reply", "Reply"
        AUTO_REPLY = "auto_reply", "Automatic reply"
        BOUNCE = "bounce", "Bounce"
        OPT_OUT = "opt_out", "Opt-out"
        OTHER = "other", "Other"  # a delay report, a receipt, a colleague in the thread: only noted

    organization = models.ForeignKey(Organization, models.PROTECT, related_name="incoming_mails")
    connection = models.ForeignKey(MailConnection, models.PROTECT, related_name="incoming_mails")
    message = models.ForeignKey(Message, models.PROTECT, related_name="incoming_mails")  # the one that it answers
    enrollment = models.ForeignKey(Enrollment, models.PROTECT, related_name="incoming_mails")
    sequence = models.ForeignKey(Sequence, models.PROTECT, related_name="incoming_mails")

    internet_message_id = models.CharField(max_length=300)
    received_at = models.DateTimeField()
    from_address = models.EmailField(blank=True)
    subject = models.CharField(max_length=255, blank=True)
    preview = models.CharField(max_length=200, blank=True)

    kind = models.CharField(max_length=10, choices=Kind)
    because = models.CharField(max_length=300)  # what shows the kind, as part of a sentence
    status = models.CharField(max_length=12, blank=True)  # of a bounce, for example 5.1.1
    back_after = models.DateField(null=True, blank=True)  # of an automatic reply, where it names a day
    # What followed from it, to be undone if the verdict is corrected: see `replies.effects`.
    effects = models.JSONField(default=dict)
    corrected_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+", editable=False)
    corrected_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = IncomingMailQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "internet_message_id"], name="one_row_per_incoming_mail"),
            models.CheckConstraint(
                condition=Q(corrected_by=None, corrected_at=None)
                | Q(corrected_by__isnull=False, corrected_at__isnull=False),
                name="corrected_by_somebody_at_some_time",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-received_at", "-id"], name="incoming_of_organization"),
            models.Index(fields=["sequence", "-received_at", "-id"], name="incoming_of_sequence"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} to message {self.message_id}"

    @property
    def consequence(self) -> str:
        return ANSWERED[self.kind]

    @property
    def corrections(self) -> list[tuple[str, str]]:
        """What else it may be: kind, and the button's text."""
        return CORRECTIONS[self.kind]


class CandidateImport(models.Model):
    """A CSV file of candidates: previewed, confirmed, then read in the background."""

    class State(models.TextChoices):
        PREVIEW = "preview", "Waiting for your word"
        WAITING = "waiting", "Waiting to start"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="imports")
    user = models.ForeignKey(User, models.PROTECT, related_name="+")
    sequence = models.ForeignKey(Sequence, models.PROTECT, null=True, blank=True, related_name="imports")
    file_name = models.CharField(max_length=200)
    content = models.BinaryField(null=True, editable=False)  # emptied once read
    columns = models.JSONField(default=list)  # per column of the file: its header and the field it fills
    state = models.CharField(max_length=10, choices=State, default=State.PREVIEW)
    reason = models.CharField(max_length=60, blank=True)
    rows = models.PositiveIntegerField(default=0)  # in the file
    rows_read = models.PositiveIntegerField(default=0)
    created = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    enrolled = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    refusals = models.JSONField(default=list)  # the first 1,000: [line, reason, value]
    enrolling = models.JSONField(default=dict)  # what became of the candidates: `enrolling.Outcome`, summed up
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True, editable=False)
    progressed_at = models.DateTimeField(null=True, blank=True, editable=False)  # when the last rows were stored
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="imports_of_organization"),
            models.Index(
                fields=["progressed_at"], condition=Q(state__in=["waiting", "running"]), name="imports_under_way"
            ),
        ]

    def __str__(self) -> str:
        return self.file_name


class Heartbeat(models.Model):
    """A worker's sign of life: written by the cluster's own tick, read by its supervisor and by `doctor`."""

    name = models.CharField(max_length=120, primary_key=True)  # host and pid of the supervisor
    beat_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
