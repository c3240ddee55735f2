"""Sequences in the admin: to look at. What a page does, a page does; no email is sent, edited or deleted here.

Staff who are not superusers see their own organization only.
"""

from django.contrib import admin
from django.http import HttpRequest

from accounts.staff import OwnOrganization, ReadOnly
from sequences.models import Candidate, CandidateImport, Enrollment, Heartbeat, Message, Sequence, Step, Suppression


class LookOnly(ReadOnly, OwnOrganization):
    """Rows are made and changed by the pages alone."""


@admin.register(Sequence)
class SequenceAdmin(LookOnly):
    list_display = ("name", "owner", "connection", "state", "paused_reason", "created_at", "activated_at")
    list_filter = ("state", "paused_reason", "created_at")
    list_select_related = ("owner", "connection")
    search_fields = ("name", "owner__email", "owner__name", "connection__address")
    date_hierarchy = "created_at"


@admin.register(Step)
class StepAdmin(LookOnly):
    organization_path = "sequence__organization"
    list_display = ("sequence", "position", "kind", "delay", "delay_unit", "subject")
    list_filter = ("kind", "delay_unit")
    list_select_related = ("sequence",)
    search_fields = ("sequence__name", "subject")


@admin.register(Candidate)
class CandidateAdmin(LookOnly):
    list_display = ("email", "first_name", "last_name", "company", "organization", "created_at")
    list_filter = ("created_at",)
    list_select_related = ("organization",)
    search_fields = ("email", "first_name", "last_name", "company")


@admin.register(Enrollment)
class EnrollmentAdmin(LookOnly):
    organization_path = "sequence__organization"
    list_display = ("candidate", "sequence", "state", "reason", "next_position", "due_at", "last_sent_at")
    list_filter = ("state", "reason", "due_at")
    list_select_related = ("candidate", "sequence")
    search_fields = ("candidate__email", "candidate__last_name", "sequence__name")


@admin.register(Message)
class MessageAdmin(LookOnly):
    """Not the text: it is the sender's, and stands on the message's page for the organization."""

    organization_path = "sequence__organization"
    list_display = ("key", "sequence", "to_address", "connection", "state", "reason", "permitted_to", "permitted_at")
    list_filter = ("state", "reason", "permitted_at")
    list_select_related = ("sequence", "connection", "permitted_to")
    search_fields = ("key", "to_address", "connection__address", "sequence__name", "internet_message_id")
    exclude = ("body_html",)


@admin.register(Suppression)
class SuppressionAdmin(LookOnly):
    list_display = ("email", "reason", "organization", "created_by", "created_at")
    list_filter = ("reason", "created_at")
    list_select_related = ("organization", "created_by")
    search_fields = ("email",)


@admin.register(CandidateImport)
class CandidateImportAdmin(LookOnly):
    list_display = ("file_name", "user", "sequence", "state", "reason", "rows", "created", "updated", "refused")
    list_filter = ("state", "created_at")
    list_select_related = ("user", "sequence")
    search_fields = ("file_name", "user__email", "sequence__name")


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Of the site, not of an organization: for superusers."""

    list_display = ("name", "beat_at")

    def has_view_permission(self, request: HttpRequest, obj: Heartbeat | None = None) -> bool:
        return bool(request.user.is_superuser)
