"""The house's chores of its doors: made once, then the operator's to change in the dashboard."""

from django.db import migrations

_NAME = "Forget old answers and login tries"


def make_chore(apps, schema_editor):
    IntervalSchedule = apps.get_model("django_celery_beat", "IntervalSchedule")
    PeriodicTask = apps.get_model("django_celery_beat", "PeriodicTask")
    hourly = IntervalSchedule.objects.filter(every=1, period="hours").first()
    hourly = hourly or IntervalSchedule.objects.create(every=1, period="hours")
    PeriodicTask.objects.get_or_create(name=_NAME, defaults={"task": "chores.prune_doors", "interval": hourly})


def drop_chore(apps, schema_editor):
    apps.get_model("django_celery_beat", "PeriodicTask").objects.filter(name=_NAME).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("scheduler_project", "0001_doors"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(make_chore, drop_chore)]
