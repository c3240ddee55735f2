"""Addresses of sequences, candidates and messages."""

from django.http import HttpRequest, HttpResponse
from django.urls import path


def _nothing_yet(request: HttpRequest, pk: int = 0) -> HttpResponse:
    return HttpResponse()


app_name = "sequences"
urlpatterns = [
    path("sequences/", _nothing_yet, name="list"),
    path("sequences/<int:pk>/", _nothing_yet, name="detail"),
]
