"""The dashboard's form for a job. It only spells the API's job object another way: the API's validator judges it."""

from dashboard.forms.job import JobForm

__all__ = ["JobForm"]
