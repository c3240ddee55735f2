"""Addresses of the mailbox settings."""

from django.urls import path

from mailconnect.views import mailbox, permissions

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
    path("permissions/", permissions.permissions, name="permissions"),
    path("permissions/to/<int:user_pk>/", permissions.grant, name="grant"),
    path("permissions/team/", permissions.grant_team, name="grant_team"),
    path("permissions/organization/", permissions.overview, name="overview"),
    path("permissions/<int:pk>/", permissions.change, name="change_grant"),
    path("permissions/<int:pk>/revoke/", permissions.revoke, name="revoke"),
    path("permissions/ask/", permissions.ask, name="ask"),
    path("permissions/ask/<int:connection_pk>/", permissions.ask_for, name="ask_for"),
    path("permissions/requests/<int:pk>/", permissions.request_page, name="request"),
    path("permissions/requests/<int:pk>/approve/", permissions.approve, name="approve_request"),
    path("permissions/requests/<int:pk>/decline/", permissions.decline, name="decline_request"),
    path("permissions/requests/<int:pk>/withdraw/", permissions.withdraw, name="withdraw_request"),
    path("remove/", mailbox.remove, name="remove"),
]
