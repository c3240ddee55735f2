"""Addresses of candidates and their imports, within the namespace of `sequences.urls`."""

from django.urls import path

from sequences.views import candidates, importing

urlpatterns = [
    path("candidates/", candidates.list_page, name="candidates"),
    path("candidates/new/", candidates.new, name="new_candidate"),
    path("candidates/enroll/", candidates.enroll_selected, name="enroll_selected"),
    path("candidates/<int:pk>/", candidates.detail, name="candidate"),
    path("candidates/<int:pk>/edit/", candidates.edit, name="edit_candidate"),
    path("candidates/<int:pk>/suppress/", candidates.suppress, name="suppress_candidate"),
    path("candidates/<int:pk>/allow/", candidates.allow_again, name="allow_candidate"),
    path("candidates/<int:pk>/erase/", candidates.erase, name="erase_candidate"),
    path("sequences/<int:pk>/enroll/", candidates.enroll_page, name="enroll"),
    path("sequences/<int:pk>/enroll/import/", candidates.enroll_import, name="enroll_import"),
    path("candidates/import/", importing.new_import, name="new_import"),
    path("candidates/import/<int:pk>/", importing.import_page, name="import"),
    path("candidates/import/<int:pk>/progress/", importing.import_progress, name="import_progress"),
    path("candidates/import/<int:pk>/columns/", importing.choose_columns, name="choose_columns"),
    path("candidates/import/<int:pk>/start/", importing.start_import, name="start_import"),
    path("candidates/import/<int:pk>/discard/", importing.discard_import, name="discard_import"),
    path("candidates/import/<int:pk>/refused.csv", importing.refused_rows, name="refused_rows"),
]
