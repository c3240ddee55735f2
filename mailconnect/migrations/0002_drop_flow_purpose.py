"""A sign-in under way has one purpose: administrators approve by a signed link, which needs no row."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("mailconnect", "0001_initial")]

    operations = [migrations.RemoveField(model_name="consentflow", name="purpose")]
