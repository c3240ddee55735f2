"""Every address of the site."""

from allauth.account.decorators import secure_admin_login
from django.apps import apps
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

# Before `admin.site.urls` is read: the admin is entered through the same door, with its limits and second factor.
admin.autodiscover()
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.site_header = admin.site.site_title = "Metaview Outreach"
admin.site.index_title = "Operators"
# A row of the queue can name any function to run; allauth's pages would show the second factor's secret and let staff
# declare any address verified.
for app in ("django_q", "account", "mfa"):
    for model in apps.get_app_config(app).get_models():
        if admin.site.is_registered(model):
            admin.site.unregister(model)

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="sequences:list"), name="home"),
    path("", include("accounts.urls")),
    path("", include("sequences.urls")),
    path("settings/mailbox/", include("mailconnect.urls")),
    path("account/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]
