"""Environment overrides: a sparse definition merged into the job's. Pure.

A version's `config` has them as `overrides`, by the id of the environment, which a rename doesn't change; without any,
the key is absent. Sections are merged field by field; headers and lists replace those of the job. Those of a workflow
name its steps by id: `{"workflow": {"steps": {"create": {"request": {"url": ...}}}}}`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from jobs.definition.calls import STEP_LISTS, WORKFLOW

T = TypeVar("T")
Config = dict[str, Any]
OVERRIDES = "overrides"
#: Sections that an environment may override in part.
SECTIONS = ("request", "success", "retry")
#: Fields that an environment may override.
OVERRIDABLE = (
    "schedule", "timezone", "starts_at", "ends_at", "jitter_seconds", "dst_gap", "dst_fold", "overlap", "misfire",
    "misfire_grace_seconds", "callback", "concurrency", *SECTIONS, WORKFLOW,
)  # fmt: skip
#: Fields of a step of which a definition sets exactly one: an override of one replaces the other.
_ALTERNATIVES = {"seconds": "until", "until": "seconds"}


def effective(config: Config, environment_id: str) -> Config:
    """Return the definition in an environment: the same object if nothing is overridden there."""
    sparse = overrides_in(config, environment_id)
    return merged(config, sparse) if sparse else config


def overrides_in(config: Config, environment_id: str) -> Config:
    """Return the sparse overrides of an environment."""
    sparse: Config = config.get(OVERRIDES, {}).get(environment_id, {})
    return sparse


def merged(config: Config, sparse: Config) -> Config:
    """Merge a sparse definition into a definition."""
    return {**config, **{field: _merged_field(field, config.get(field), value) for field, value in sparse.items()}}


def _merged_field(field: str, value: Any, sparse: Any) -> Any:
    if not (isinstance(value, Mapping) and isinstance(sparse, Mapping)):
        return sparse
    if field == WORKFLOW:
        return merged_workflow(value, sparse)
    return {**value, **sparse} if field in SECTIONS else sparse


def merged_workflow(workflow: Mapping[str, Any], sparse: Mapping[str, Any]) -> Config:
    """Merge overrides of steps, by id, into a workflow. Parts of an unknown shape are left as they are."""
    by_id, merged_parts = sparse.get("steps"), {**workflow, **sparse}
    if not isinstance(by_id, Mapping):
        return merged_parts
    for part in STEP_LISTS:
        steps = workflow.get(part)
        merged_parts[part] = [_merged_step(step, by_id) for step in steps] if isinstance(steps, list) else steps
    return merged_parts


def _merged_step(step: Any, by_id: Mapping[str, Any]) -> Any:
    step_id = step.get("id") if isinstance(step, Mapping) else None
    sparse = by_id.get(step_id) if isinstance(step_id, str) else None
    if not isinstance(sparse, Mapping):
        return step
    replaced = {other for field, other in _ALTERNATIVES.items() if field in sparse and other in step}
    return merged({**step, **dict.fromkeys(replaced - sparse.keys())}, dict(sparse))


def shared(config: Config) -> Config:
    """Return a definition without its overrides."""
    return {field: value for field, value in config.items() if field != OVERRIDES}


def with_overrides(config: Config, overrides: Mapping[str, Config]) -> Config:
    """Replace a definition's overrides, by environment; empty ones are left out."""
    filled = {environment_id: sparse for environment_id, sparse in overrides.items() if sparse}
    return {**shared(config), **({OVERRIDES: filled} if filled else {})}


def with_request(config: Config, request: Config) -> Config:
    """Replace a definition's request in every environment, overrides of it included."""
    own = {key: {**sparse} for key, sparse in config.get(OVERRIDES, {}).items()}
    for sparse in own.values():
        sparse.pop("request", None)
    return with_overrides({**config, "request": request}, own)


@dataclass(frozen=True, slots=True)
class PerEnvironment(Generic[T]):
    """A value derived from a definition: `common`, and one for each environment with overrides."""

    common: T
    overridden: Mapping[str, T]

    @classmethod
    def derive(cls, config: Config, make: Callable[[Config], T]) -> "PerEnvironment[T]":
        overrides = config.get(OVERRIDES, {})
        return cls(make(config), {key: make(merged(config, sparse)) for key, sparse in overrides.items()})

    def of(self, environment_id: str) -> T:
        return self.overridden.get(environment_id, self.common)

    @property
    def all(self) -> tuple[T, ...]:
        return (self.common, *self.overridden.values())
