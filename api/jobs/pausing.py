"""Bodies of the requests that pause and resume a job."""

from typing import Any

from rest_framework.exceptions import ValidationError

from core.validation.fields import Instant, Text
from core.validation.strict import StrictSerializer


class PauseSerializer(StrictSerializer):
    environment = Text(required=False, help_text="The environment's slug. Default: all environments of the job.")
    until = Instant(
        required=False, allow_null=True, default=None, help_text="When the pause ends; null: until it is resumed."
    )
    note = Text(
        default="", allow_blank=True, max_length=500, help_text="The reason, shown as `pause_note` during the pause."
    )

    def validate_until(self, value: Any) -> Any:
        if value is not None and value <= self.context["now"]:
            raise ValidationError("Should be in the future.", code="past")
        return value


class ResumeSerializer(StrictSerializer):
    environment = Text(required=False, help_text="The environment's slug. Default: all environments of the job.")
