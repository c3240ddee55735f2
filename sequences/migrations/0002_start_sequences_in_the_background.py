from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [('sequences', '0001_initial')]

    operations = [
        migrations.AddField(
            model_name='sequence',
            name='planned_up_to',
            field=models.PositiveBigIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name='sequence',
            name='starting_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name='sequence',
            index=models.Index(condition=models.Q(('starting_at__isnull', False)), fields=['starting_at'], name='sequences_starting'),
        ),
    ]
