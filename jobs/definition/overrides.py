"""What a job does otherwise in one environment: a sparse definition laid over that of the job. Pure.

A version's `config` keeps them as `overrides`, by the id of the environment, which a new name doesn't change; there is
no such key where nothing is overridden. Sections are merged field by field; headers and lists replace those of the job.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Config = dict[str, Any]
OVERRIDES = "overrides"
#: The sections of a definition that an environment may override in part.
SECTIONS = ("request", "success", "retry")
#: The parts that an environment may override.
OVERRIDABLE = (
    "schedule", "timezone", "starts_at", "ends_at", "jitter_seconds", "dst_gap", "dst_fold", "overlap", "misfire",
    "misfire_grace_seconds", "concurrency", *SECTIONS,
)  # fmt: skip


def effective(config: Config, environment_id: str) -> Config:
    """The definition that holds in an environment: the very same object where nothing is overridden there."""
    sparse = overrides_in(config, environment_id)
    return merged(config, sparse) if sparse else config


def overrides_in(config: Config, environment_id: str) -> Config:
    """What is overridden in an environment, sparse."""
    found: Config = config.get(OVERRIDES, {}).get(environment_id, {})
    return found


def merged(config: Config, sparse: Config) -> Config:
    """A definition with a sparse one laid over it."""
    return {
        **config,
        **{field: {**config[field], **sparse[field]} if field in SECTIONS else sparse[field] for field in sparse},
    }


def shared(config: Config) -> Config:
    """The part of a definition that all environments share."""
    return {field: value for field, value in config.items() if field != OVERRIDES}


def with_overrides(config: Config, overrides: Mapping[str, Config]) -> Config:
    """A definition with these overrides by environment instead of its own; empty ones are left out."""
    kept = {environment_id: sparse for environment_id, sparse in overrides.items() if sparse}
    return {**shared(config), **({OVERRIDES: kept} if kept else {})}


def with_request(config: Config, request: Config) -> Config:
    """A definition with this request in every environment, whatever they override of it."""
    own = {key: {**sparse} for key, sparse in config.get(OVERRIDES, {}).items()}
    for sparse in own.values():
        sparse.pop("request", None)
    return with_overrides({**config, "request": request}, own)


@dataclass(frozen=True, slots=True)
class PerEnvironment(Generic[T]):
    """What a definition comes to: one thing for all environments, but for those that override something."""

    common: T
    otherwise: Mapping[str, T]

    @classmethod
    def made(cls, config: Config, make: Callable[[Config], T]) -> "PerEnvironment[T]":
        overridden = config.get(OVERRIDES, {})
        return cls(make(config), {key: make(merged(config, sparse)) for key, sparse in overridden.items()})

    def of(self, environment_id: str) -> T:
        return self.otherwise.get(environment_id, self.common)

    @property
    def all(self) -> tuple[T, ...]:
        return (self.common, *self.otherwise.values())
