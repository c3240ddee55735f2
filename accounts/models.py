"""Organizations, users, invitations, notifications, audit events."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

INVITATION_LIFE = timedelta(days=14)


class Organization(models.Model):
    """A company. Everything belongs to exactly one."""

    name = models.CharField(max_length=120)
    # The first mailbox that is connected binds the organization to its Microsoft tenant.
    microsoft_tenant_id = models.CharField(max_length=36, blank=True)
    time_zone = models.CharField(max_length=64, default="UTC")
    holiday_country = models.CharField(
        max_length=2, blank=True, help_text="Two letters, for example DE: no mail on its public holidays."
    )
    allow_team_grants = models.BooleanField(
        "allow “Entire team”", default=True, help_text="May owners let the entire team send from their mailbox?"
    )
    grant_max_days = models.PositiveSmallIntegerField(
        "longest permission, in days", null=True, blank=True, help_text="Empty: permissions may be without end."
    )
    stop_for_colleagues = models.BooleanField(
        "stop for colleagues too",
        default=False,
        help_text="When a candidate replies, also stop writing to others at the same company.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    """Finds people by their e-mail in any case."""

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """A member of `organization`, which is required. The address is kept in lower case."""
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """An operator. Operators have an organization of their own, so that no rule needs an exception."""
        if "organization" not in fields:
            fields["organization"], _ = Organization.objects.get_or_create(name="Operators")
        fields |= {"is_staff": True, "is_superuser": True, "role": User.Role.ADMIN}
        return self.create_user(email, password, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A member of one organization. `is_active` is false once deactivated; nothing is deleted."""

    class Role(models.TextChoices):
        MEMBER = "member", "Member"
        ADMIN = "admin", "Admin"

    organization = models.ForeignKey(Organization, models.PROTECT, related_name="users")
    email = models.EmailField("e-mail", unique=True)
    name = models.CharField(max_length=120, blank=True)
    role = models.CharField(max_length=10, choices=Role, default=Role.MEMBER)
    is_active = models.BooleanField("active", default=True)
    is_staff = models.BooleanField("may enter the admin site", default=False)
    deactivated_at = models.DateTimeField(null=True, blank=True, editable=False)
    date_joined = models.DateTimeField(default=timezone.now, editable=False)
    email_notices = models.BooleanField("send me notices by e-mail", default=True)
    daily_digest = models.BooleanField("send me a daily digest of what others send from my mailbox", default=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("email"), name="one_user_per_address"),
            models.CheckConstraint(
                condition=Q(is_active=True, deactivated_at=None) | Q(is_active=False),
                name="active_means_not_deactivated",
            ),
        ]
        indexes = [models.Index(fields=["organization", "is_active", "name"], name="users_of_organization")]

    def __str__(self) -> str:
        return self.name or self.email

    @property
    def is_admin(self) -> bool:
        """Admin of the organization; not to be confused with staff of the site."""
        return self.role == self.Role.ADMIN

    @property
    def first_name(self) -> str:
        return self.name.split(" ")[0]

    @property
    def initials(self) -> str:
        words = (self.name or self.email).split()
        return "".join(word[0] for word in [words[0], *words[1:][-1:]]).upper()


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self, now: datetime) -> "InvitationQuerySet":
        """Those that let somebody in: not the word of somebody who has left, or is no admin any more."""
        inviting = {"invited_by__is_active": True, "invited_by__role": User.Role.ADMIN}
        return self.filter(accepted_at=None, revoked_at=None, expires_at__gt=now, **inviting)


class Invitation(models.Model):
    """A word to one address: come into this organization. The token in the mail is kept only as its hash."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="invitations")
    email = models.EmailField("e-mail")
    role = models.CharField(max_length=10, choices=User.Role, default=User.Role.MEMBER)
    invited_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "organization",
                Lower("email"),
                condition=Q(accepted_at=None, revoked_at=None),
                name="one_open_invitation_per_address",
            )
        ]

    def __str__(self) -> str:
        return f"Invitation of {self.email}"


class Notification(models.Model):
    """One sentence to one person, in the bell of the page head and by e-mail."""

    user = models.ForeignKey(User, models.CASCADE, related_name="notifications")
    kind = models.CharField(max_length=40)  # a stable reason, for example `sequence_paused`
    title = models.CharField(max_length=200)
    text = models.TextField(blank=True)
    url = models.CharField(max_length=300, blank=True)
    # The same fact told twice while it is unread is one notification.
    once = models.CharField(max_length=120, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    read_at = models.DateTimeField(null=True, blank=True, editable=False)
    mail_due_at = models.DateTimeField(null=True, blank=True, editable=False)
    mailed_at = models.DateTimeField(null=True, blank=True, editable=False)
    mail_attempts = models.PositiveSmallIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "once"],
                condition=Q(read_at=None) & ~Q(once=""),
                name="one_unread_notification_per_fact",
            )
        ]
        indexes = [
            models.Index(fields=["user", "-created_at"], name="notifications_of_user"),
            models.Index(fields=["mail_due_at"], condition=Q(mail_due_at__isnull=False), name="notifications_to_mail"),
            models.Index(fields=["user"], condition=Q(read_at=None), name="notifications_unread"),
        ]

    def __str__(self) -> str:
        return self.title


class AuditEvent(models.Model):
    """Who did what to what, and when. Append-only, also for the database: a trigger refuses change and deletion."""

    organization = models.ForeignKey(Organization, models.PROTECT, related_name="audit_events")
    actor = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")  # none: the system
    action = models.CharField(max_length=60)  # a stable verb, for example `grant.revoked`
    object_type = models.CharField(max_length=40)
    object_id = models.CharField(max_length=40)
    details = models.JSONField(default=dict)  # ids, names of settings, counts; never tokens, bodies or addresses
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="audit_of_organization"),
            models.Index(fields=["object_type", "object_id"], name="audit_of_object"),
            models.Index(fields=["organization", "actor", "-created_at"], name="audit_by_person"),
            models.Index(fields=["organization", "action", "-created_at"], name="audit_by_action"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_type} {self.object_id}"
