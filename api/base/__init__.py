"""What every route of the REST API shares. The names that settings refer to are here; views are in `.views`."""

from api.base.pagination import KeysetPagination
from api.base.parsing import JsonBodyParser
from api.base.problems import problem_response

__all__ = ["JsonBodyParser", "KeysetPagination", "problem_response"]
