"""Addresses of sequences, candidates and messages."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
