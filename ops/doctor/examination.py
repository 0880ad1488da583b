"""Runs the probes of all sections, each within a time limit."""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ops.doctor.findings import Finding, problem, skipped
from ops.doctor.time_limit import TimeLimitedThread, TimeLimitError

Probe = Callable[..., Iterable[Finding]]


class UnreachableError(Exception):
    """A source cannot be reached."""


class NotApplicableError(Exception):
    """A probe makes no sense until another problem is solved. The message completes "Not examined: "."""


def _nothing() -> None:
    """A source that leaves nothing open."""


@dataclass(frozen=True, slots=True)
class Source:
    """What probes examine: `run` passes a probe what it needs, or raises UnreachableError; `close` cleans up after it.

    `advice` is for a source that does not answer.
    """

    title: str
    run: Callable[[Probe], list[Finding]]
    advice: str
    close: Callable[[], None] = _nothing


@dataclass(frozen=True, slots=True)
class DoctorSection:
    """Probes of one source, by name."""

    title: str
    source: Source
    probes: Mapping[str, Probe]


@dataclass(frozen=True, slots=True)
class TimedFinding:
    """A finding, its section's title, and the seconds that its probe took."""

    section: str
    finding: Finding
    seconds: float


@dataclass(slots=True)
class Examination:
    """Runs the probes of sections in order. A source that fails to answer once is not asked again."""

    seconds: float
    _threads: dict[Source, TimeLimitedThread] = field(default_factory=dict)
    _failed: set[Source] = field(default_factory=set)

    def of(self, sections: Sequence[DoctorSection]) -> Iterator[TimedFinding]:
        for section in sections:
            for name, probe in section.probes.items():
                findings, seconds = self._run(section.source, name, probe)
                for finding in findings:
                    yield TimedFinding(section.title, finding, seconds)
        for source in self._threads.keys() - self._failed:
            with contextlib.suppress(TimeLimitError):
                self._threads[source].call(source.close, seconds=self.seconds)

    def _run(self, source: Source, name: str, probe: Probe) -> tuple[Collection[Finding], float]:
        if source in self._failed:
            return [skipped(name, f"Not examined: {source.title} does not answer.")], 0.0
        if source not in self._threads:
            self._threads[source] = TimeLimitedThread()
        try:
            findings: tuple[list[Finding], float]
            findings = self._threads[source].call(lambda: source.run(probe), seconds=self.seconds)
            return findings
        except TimeLimitError:
            self._failed.add(source)
            says = f"{source.title} did not answer within {self.seconds:g} seconds."
            return [problem(name, says, source.advice)], self.seconds
        except UnreachableError as error:
            self._failed.add(source)
            return [problem(name, f"{source.title} cannot be reached: {_first_line(error)}", source.advice)], 0.0
        except NotApplicableError as error:
            return [skipped(name, f"Not examined: {error}")], 0.0
        except Exception as error:  # a probe that fails must not end the others
            says = f"The probe failed: {type(error).__name__}: {_first_line(error)}"
            return [problem(name, says, "If no other finding explains it, report it as a bug.")], 0.0


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
