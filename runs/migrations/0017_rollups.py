"""The models are named by the field's words; their tables stay, so that no row is touched."""

from django.db import migrations

_NAMES = {
    "TallySlip": ("CounterDelta", "runs_tallyslip"),
    "Tally": ("CounterTotal", "runs_tally"),
    "EndedSlip": ("RollupDelta", "runs_endedslip"),
    "Digest": ("Rollup", "runs_digest"),
}


class Migration(migrations.Migration):
    dependencies = [("runs", "0016_agreement")]

    operations = [
        migrations.AlterModelOptions(name="tally", options={}),
        *(migrations.AlterModelTable(name=old, table=table) for old, (_, table) in _NAMES.items()),
        *(migrations.RenameModel(old_name=old, new_name=new) for old, (new, _) in _NAMES.items()),
    ]
