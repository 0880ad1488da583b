"""The tag that all of Hourhand's own system checks have."""

TAG = "hourhand"
