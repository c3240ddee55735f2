"""Addresses of sequences, candidates and messages."""

from django.urls import path

from sequences.views import permissions, receipts, sequences

app_name = "sequences"
urlpatterns = [
    # Sent on behalf of others
    path("sent-by-others/", permissions.sent_by_others, name="sent_by_others"),
    path("first-emails/<int:pk>/", permissions.first_email, name="first_email"),
    path("first-emails/<int:pk>/answer/", permissions.answer_first_email, name="answer_first_email"),
    path("sequences/<int:pk>/hand-over/", permissions.hand_over, name="hand_over"),
    path("people/<int:user_pk>/sequences/", permissions.sequences_of, name="sequences_of"),
    path("receipts/", receipts.export_page, name="receipts"),
    path("receipts/export/", receipts.export, name="export_receipts"),
    # Sequences
    path("sequences/", sequences.list_page, name="list"),
    path("sequences/new/", sequences.new, name="new"),
    path("sequences/<int:pk>/", sequences.detail, name="detail"),
]
