"""Mailboxes in the admin: to look at and to remove, through the same function as the pages. No tokens."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import User
from mailconnect import ending
from mailconnect.models import AdminConsent, DefaultMailbox, MailConnection


class ReadOnly:
    """Rows are made and changed by the pages alone."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(MailConnection)
class MailConnectionAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
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


@admin.register(AdminConsent)
class AdminConsentAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("organization", "requested_by", "requested_at", "approved_at")
    list_filter = ("requested_at", "approved_at")
    list_select_related = ("organization", "requested_by")
    search_fields = ("organization__name", "requested_by__email")


@admin.register(DefaultMailbox)
class DefaultMailboxAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("user", "connection")
    list_select_related = ("user", "connection")
    search_fields = ("user__email", "connection__address")
