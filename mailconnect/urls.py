"""Addresses of the mailbox settings."""

from django.urls import path

from mailconnect import views

app_name = "mailconnect"
urlpatterns = [
    path("", views.settings_page, name="settings"),
    path("connect/", views.connect, name="connect"),
    path("callback/", views.callback, name="callback"),
    path("refused/<slug:reason>/", views.refused, name="refused"),
    path("approval/", views.approval_page, name="approval"),
    path("approval/asked/", views.approval_asked, name="approval_asked"),
    path("approval/callback/", views.approval_callback, name="approval_callback"),
    path("manage/", views.manage, name="manage"),
    path("manage/signature/", views.signature_from_sent_mail, name="signature_from_sent_mail"),
    path("default/", views.default_mailbox, name="default_mailbox"),
    path("remove/", views.remove, name="remove"),
]
