"""What the admin site of every app shares: rows to look at, and each staff member's own organization only."""

from typing import Any

from django.contrib import admin
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import User


class ReadOnly:
    """Rows are made, changed and ended by the pages' functions alone."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class OwnOrganization(admin.ModelAdmin):  # type: ignore[type-arg]
    """Staff who are not superusers see their own organization. `organization_path` leads there from the row."""

    organization_path = "organization"
    list_per_page = 50
    show_full_result_count = False  # a million rows are not counted for a page

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        assert isinstance(request.user, User)
        if request.user.is_superuser:
            return rows
        return rows.filter(**{self.organization_path: request.user.organization_id})

    def get_list_filter(self, request: HttpRequest) -> Any:
        """A filter by organization would name the others."""
        filters = super().get_list_filter(request)
        return filters if request.user.is_superuser else [each for each in filters if "organization" not in str(each)]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        assert isinstance(request.user, User)
        scoped = not request.user.is_superuser and _has_organization(db_field.remote_field.model)
        if scoped and field and field.queryset is not None:
            field.queryset = field.queryset.filter(organization=request.user.organization_id)
        return field


def _has_organization(model: type[models.Model]) -> bool:
    return any(field.name == "organization" for field in model._meta.get_fields())
