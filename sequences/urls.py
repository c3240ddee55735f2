"""Addresses of sequences, candidates and messages."""

from django.urls import path

from sequences.views import sequences

app_name = "sequences"
urlpatterns = [
    # Sequences
    path("sequences/", sequences.list_page, name="list"),
    path("sequences/new/", sequences.new, name="new"),
    path("sequences/<int:pk>/", sequences.detail, name="detail"),
]
