"""Addresses of the mailbox settings."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
