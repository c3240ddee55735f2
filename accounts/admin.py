"""People and organizations in the admin: to look at, with the pages' own functions as actions. No secrets."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts import governing, inviting, leaving
from accounts.auditing import record
from accounts.models import AuditEvent, Invitation, Notification, Organization, User
from accounts.staff import OwnOrganization, ReadOnly


@admin.register(Organization)
class OrganizationAdmin(OwnOrganization):
    organization_path = "pk"
    list_display = ("name", "time_zone", "holiday_country", "allow_team_grants", "grant_max_days", "created_at")
    list_filter = ("allow_team_grants", "created_at")
    search_fields = ("name", "microsoft_tenant_id")
    readonly_fields = ("microsoft_tenant_id", "created_at")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Organization, form: Any, change: bool) -> None:
        assert isinstance(request.user, User)
        super().save_model(request, obj, form, change)
        governing.apply(obj, request.user, timezone.now())
        record(
            organization=obj,
            actor=request.user,
            action="organization.changed" if change else "organization.founded",
            target=obj,
            now=timezone.now(),
            changed=form.changed_data,
        )


@admin.register(User)
class UserAdmin(OwnOrganization):
    list_display = ("email", "name", "organization", "role", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "role", "is_staff", "organization")
    list_select_related = ("organization",)
    search_fields = ("email", "name")
    fields = (
        ("email", "name"),
        ("organization", "role"),
        ("is_active", "deactivated_at"),
        ("is_staff", "is_superuser"),
        ("groups", "user_permissions"),
        ("email_notices", "daily_digest"),
        ("date_joined", "last_login"),
    )
    filter_horizontal = ("groups", "user_permissions")
    actions = ("deactivate", "activate", "make_admin", "make_member")
    # Who may enter the admin site, and with what rights, is for superusers to say.
    rights = ("is_staff", "is_superuser", "groups", "user_permissions")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """People sign up or are invited; `manage.py createsuperuser` makes operators."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fixed = ("email", "organization", "role", "is_active", "deactivated_at", "date_joined", "last_login")
        return fixed if request.user.is_superuser else (*fixed, *self.rights)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Staff of an organization cannot touch a superuser."""
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and not (obj and obj.is_superuser and not request.user.is_superuser)

    @admin.action(description="Deactivate the selected people", permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset.filter(is_active=True):
            self._ask(request, user, "deactivated", leaving.deactivate)

    @admin.action(description="Let the selected people sign in again", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset.filter(is_active=False):
            self._ask(request, user, "active again", leaving.activate)

    @admin.action(description="Make the selected people admins of their organization", permissions=["change"])
    def make_admin(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            self._ask(request, user, "an admin", leaving.change_role, role=User.Role.ADMIN)

    @admin.action(description="Make the selected people members", permissions=["change"])
    def make_member(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            self._ask(request, user, "a member", leaving.change_role, role=User.Role.MEMBER)

    def _ask(self, request: HttpRequest, user: User, became: str, act: Any, **how: Any) -> None:
        if not self.has_change_permission(request, user):
            messages.error(request, f"{user} is an operator: only operators may do that.")
            return
        try:
            done = act(user=user, actor=request.user, now=timezone.now(), **how)
        except leaving.LeavingRefused as refusal:
            messages.error(request, str(refusal))
        else:
            # A deactivation says how many emails were already on their way.
            messages.success(request, f"{user} is {became}. {leaving.too_late(done or 0)}".strip())


@admin.register(Invitation)
class InvitationAdmin(ReadOnly, OwnOrganization):
    list_display = (
        "email",
        "organization",
        "role",
        "invited_by",
        "created_at",
        "expires_at",
        "accepted_at",
        "revoked_at",
    )
    list_filter = ("role", "accepted_at", "revoked_at", "organization")
    list_select_related = ("organization", "invited_by")
    search_fields = ("email", "organization__name", "invited_by__email")
    exclude = ("token_hash",)
    actions = ("revoke",)

    @admin.action(description="Revoke the selected invitations", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        assert isinstance(request.user, User)
        for invitation in queryset:
            inviting.revoke(invitation=invitation, actor=request.user, now=timezone.now())
        messages.success(request, "Revoked.")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_invitation")


@admin.register(Notification)
class NotificationAdmin(ReadOnly, OwnOrganization):
    organization_path = "user__organization"
    list_display = ("title", "user", "kind", "created_at", "read_at", "mailed_at", "mail_due_at", "mail_attempts")
    list_filter = ("kind", "created_at", "mailed_at")
    list_select_related = ("user",)
    search_fields = ("title", "user__email")
    date_hierarchy = "created_at"


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnly, OwnOrganization):
    list_display = ("created_at", "organization", "actor", "action", "object_type", "object_id")
    list_filter = ("action", "object_type", "organization")
    list_select_related = ("organization", "actor")
    search_fields = ("action", "actor__email", "object_id")
    date_hierarchy = "created_at"
