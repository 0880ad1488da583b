"""What giving a job's webhook another URL takes."""

from core.validation.fields import Whole
from core.validation.strict import StrictSerializer
from jobs.services.webhooks import DEFAULT_OVERLAP_SECONDS, MAX_OVERLAP_SECONDS


class WebhookRotationSerializer(StrictSerializer):
    """How to rotate. An empty body takes the default."""

    overlap_seconds = Whole(
        default=DEFAULT_OVERLAP_SECONDS,
        min_value=0,
        max_value=MAX_OVERLAP_SECONDS,
        help_text="How many seconds the present URL still works; 0 after a leak.",
    )
