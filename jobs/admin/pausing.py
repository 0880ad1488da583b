"""What a person says of a pause: until when, and why."""

import datetime

from django import forms
from django.utils import timezone

_NOTE_LENGTH = 500


class PauseForm(forms.Form):
    """`until` is what a browser's datetime field sends: a wall-clock time, here of UTC."""

    until = forms.DateTimeField(required=False)
    note = forms.CharField(required=False, max_length=_NOTE_LENGTH)

    def clean_until(self) -> datetime.datetime | None:
        until: datetime.datetime | None = self.cleaned_data["until"]
        if until is not None and until <= timezone.now():
            raise forms.ValidationError("The end of a pause should be in the future.")
        return until
