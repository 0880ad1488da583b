"""What every route of the REST API shares. The names that settings refer to are here; views are in `.views`."""

from scheduler_project.api.pagination import KeysetPagination
from scheduler_project.api.parsing import JsonBodyParser
from scheduler_project.api.problems import problem_response

__all__ = ["JsonBodyParser", "KeysetPagination", "problem_response"]
