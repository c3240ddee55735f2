"""Mailboxes, permissions and requests in the admin: to look at, with the pages' own functions as actions. No tokens.

Staff who are not superusers see their own organization only.
"""

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.models import AuditEvent, User
from accounts.staff import OwnOrganization, ReadOnly
from mailconnect import ending, granting
from mailconnect.models import AdminConsent, DefaultMailbox, DelegationGrant, DelegationRequest, MailConnection


@admin.register(MailConnection)
class MailConnectionAdmin(ReadOnly, OwnOrganization):
    list_display = ("address", "owner", "organization", "state", "reason", "connected_at", "held_until")
    list_filter = ("state", "automatic_replies", "organization")
    list_select_related = ("owner", "organization")
    search_fields = ("address", "display_name", "owner__email", "object_id")
    date_hierarchy = "connected_at"
    actions = ("remove_mailboxes",)

    @admin.action(description="Remove the selected mailboxes", permissions=["remove"])
    def remove_mailboxes(self, request: HttpRequest, queryset: QuerySet[MailConnection]) -> None:
        assert isinstance(request.user, User)
        live = queryset.exclude(state=MailConnection.State.REMOVED)
        for connection in live:
            ending.remove(connection=connection, actor=request.user, now=timezone.now())
        messages.success(request, f"Removed: {len(live)}.")

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("mailconnect.change_mailconnection")


class StandingFilter(admin.SimpleListFilter):
    """Live or not, and until when."""

    title = "standing"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        return [("live", "Live"), ("expiring", "Live, ends within 14 days"), ("ended", "Ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DelegationGrant]) -> QuerySet[DelegationGrant]:
        now = timezone.now()
        live = DelegationGrant.objects.live(now)
        match self.value():
            case "live":
                return queryset.filter(pk__in=live.values("pk"))
            case "expiring":
                return queryset.filter(pk__in=live.filter(expires_at__lte=now + timedelta(days=14)).values("pk"))
            case "ended":
                return queryset.exclude(pk__in=live.values("pk"))
        return queryset


@admin.register(DelegationGrant)
class DelegationGrantAdmin(ReadOnly, OwnOrganization):
    organization_path = "connection__organization"
    list_display = (
        *("connection", "to", "granted_by", "version", "created_at", "expires_at", "daily_cap"),
        *("archived_reason", "archived_at", "archived_by"),
    )
    list_filter = (StandingFilter, "archived_reason", "approve_first_email", "expires_at", "connection__organization")
    list_select_related = ("connection", "grantee", "granted_by", "archived_by")
    search_fields = (
        *("connection__address", "connection__owner__email", "connection__owner__name"),
        *("grantee__email", "grantee__name"),
    )
    date_hierarchy = "created_at"
    readonly_fields = ("history",)
    actions = ("revoke_grants",)

    @admin.display(description="may send")
    def to(self, grant: DelegationGrant) -> str:
        return str(grant.grantee or "Entire team")

    @admin.display(description="history")
    def history(self, grant: DelegationGrant) -> SafeString:
        """Every version for this colleague and mailbox, with what was done to each and by whom."""
        same = DelegationGrant.objects.filter(connection=grant.connection_id, grantee=grant.grantee_id)
        versions = {str(pk): version for pk, version in same.order_by("version").values_list("pk", "version")}
        events = AuditEvent.objects.filter(
            organization=grant.connection.organization_id, object_type="delegationgrant", object_id__in=versions
        )
        rows = [
            (
                event.created_at.strftime("%Y-%m-%d %H:%M UTC"),
                versions[event.object_id],
                event.action,
                event.actor or "the system",
            )
            for event in events.select_related("actor").order_by("created_at", "pk")
        ]
        return format_html("<ul>{}</ul>", format_html_join("", "<li>{}: version {}, {}, by {}</li>", rows))

    @admin.action(description="Revoke the selected permissions", permissions=["revoke"])
    def revoke_grants(self, request: HttpRequest, queryset: QuerySet[DelegationGrant]) -> None:
        assert isinstance(request.user, User)
        done = [
            granting.revoke(grant=grant, actor=request.user, now=timezone.now())
            for grant in queryset.filter(archived_at=None)
        ]
        paused = sum(len(each.effect.sequences) for each in done)
        on_their_way = sum(each.on_their_way for each in done)
        messages.success(
            request,
            f"Revoked: {sum(each.acted for each in done)}. Sequences paused: {paused}. "
            f"Emails that were already on their way: {on_their_way}.",
        )

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("mailconnect.change_delegationgrant")


@admin.register(DelegationRequest)
class DelegationRequestAdmin(ReadOnly, OwnOrganization):
    organization_path = "connection__organization"
    list_display = ("connection", "requester", "state", "created_at", "lapses_at", "decided_at")
    list_filter = ("state", "created_at")
    list_select_related = ("connection", "requester")
    search_fields = ("connection__address", "connection__owner__email", "requester__email", "requester__name")
    date_hierarchy = "created_at"


@admin.register(AdminConsent)
class AdminConsentAdmin(ReadOnly, OwnOrganization):
    list_display = ("organization", "requested_by", "requested_at", "approved_at")
    list_filter = ("requested_at", "approved_at")
    list_select_related = ("organization", "requested_by")
    search_fields = ("organization__name", "requested_by__email")


@admin.register(DefaultMailbox)
class DefaultMailboxAdmin(ReadOnly, OwnOrganization):
    organization_path = "user__organization"
    list_display = ("user", "connection")
    list_select_related = ("user", "connection")
    search_fields = ("user__email", "connection__address")
