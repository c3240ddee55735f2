"""Addresses of organizations and people."""

from django.urls import path

from accounts.views import joining, organization, people, personal

app_name = "accounts"
urlpatterns = [
    path("invitation/gone/", joining.invitation_gone, name="invitation_gone"),
    path("invitation/<str:token>/", joining.invitation, name="invitation"),
    path("notifications/", personal.notifications, name="notifications"),
    path("notifications/read/", personal.read_all_notifications, name="read_all_notifications"),
    path("notifications/<int:pk>/read/", personal.read_notification, name="read_notification"),
    path("settings/profile/", personal.profile, name="profile"),
    path("settings/organization/", organization.organization, name="organization"),
    path("settings/audit/", organization.audit, name="audit"),
    path("settings/people/", people.people, name="people"),
    path("settings/people/invite/", people.invite, name="invite"),
    path("settings/people/invitations/<int:pk>/again/", people.invite_again, name="invite_again"),
    path("settings/people/invitations/<int:pk>/revoke/", people.revoke_invitation, name="revoke_invitation"),
    path("settings/people/<int:pk>/", people.person, name="person"),
    path("settings/people/<int:pk>/deactivate/", people.deactivate, name="deactivate"),
    path("settings/people/<int:pk>/activate/", people.activate, name="activate"),
]
