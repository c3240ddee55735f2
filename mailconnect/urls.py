"""Addresses of the mailbox settings."""

from django.urls import path

from mailconnect.views import mailbox

app_name = "mailconnect"
urlpatterns = [
    path("", mailbox.settings_page, name="settings"),
    path("connect/", mailbox.connect, name="connect"),
    path("callback/", mailbox.callback, name="callback"),
    path("refused/<slug:reason>/", mailbox.refused, name="refused"),
    path("approval/", mailbox.approval_page, name="approval"),
    path("approval/asked/", mailbox.approval_asked, name="approval_asked"),
    path("approval/callback/", mailbox.approval_callback, name="approval_callback"),
    path("manage/", mailbox.manage, name="manage"),
    path("manage/signature/", mailbox.signature_from_sent_mail, name="signature_from_sent_mail"),
    path("default/", mailbox.default_mailbox, name="default_mailbox"),
    path("remove/", mailbox.remove, name="remove"),
]
