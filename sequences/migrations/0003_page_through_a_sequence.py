import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [('sequences', '0002_start_sequences_in_the_background')]

    operations = [
        migrations.RemoveIndex(
            model_name='message',
            name='messages_of_sequence',
        ),
        migrations.AlterField(
            model_name='enrollment',
            name='sequence',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='enrollments', to='sequences.sequence'),
        ),
        migrations.AlterField(
            model_name='message',
            name='sequence',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='messages', to='sequences.sequence'),
        ),
        migrations.AddIndex(
            model_name='enrollment',
            index=models.Index(fields=['sequence', 'id'], name='enrollments_in_order'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(fields=['sequence', 'state', 'id'], name='messages_of_sequence'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(fields=['sequence', 'id'], name='messages_in_order'),
        ),
    ]
