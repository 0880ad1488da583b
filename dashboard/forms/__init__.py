"""The form for a job. It translates to and from the API's job object, which the API's serializer validates."""

from dashboard.forms.job import JobForm

__all__ = ["JobForm"]
