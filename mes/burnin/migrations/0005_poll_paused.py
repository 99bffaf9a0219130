from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('burnin', '0004_swaps'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='burninrun',
            name='burn_in_due',
        ),
        migrations.AddIndex(
            model_name='burninrun',
            index=models.Index(condition=models.Q(('state__in', ['passed', 'failed', 'aborted']), _negated=True), fields=['next_due_at'], name='burn_in_due'),
        ),
    ]
