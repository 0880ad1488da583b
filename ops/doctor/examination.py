"""Goes through all that there is to look at, and waits for none of it for long."""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ops.doctor.findings import Finding, problem, skipped
from ops.doctor.patience import Asker, NoAnswerError

Look = Callable[..., Iterable[Finding]]


class AwayError(Exception):
    """A source can't be reached."""


class NotNowError(Exception):
    """There is nothing to look at until something else is put right."""


def _nothing() -> None:
    """What a source leaves open that leaves nothing open."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is asked: `hold` gives a look what it needs of it, or raises AwayError; `let_go` ends what that left open.

    `advice` is what to do where it gives no answer.
    """

    title: str
    hold: Callable[[Look], list[Finding]]
    advice: str
    let_go: Callable[[], None] = _nothing


@dataclass(frozen=True, slots=True)
class DoctorSection:
    """Looks that belong together, by their names, all at the same source."""

    title: str
    source: Source
    looks: Mapping[str, Look]


@dataclass(frozen=True, slots=True)
class Examined:
    """One finding, the section that it stands in, and the seconds that its look took."""

    section: str
    finding: Finding
    seconds: float


@dataclass(slots=True)
class Examination:
    """Goes through sections in order. What did not answer once is not asked again."""

    seconds: float
    _askers: dict[Source, Asker] = field(default_factory=dict)
    _gone: set[Source] = field(default_factory=set)

    def of(self, sections: Sequence[DoctorSection]) -> Iterator[Examined]:
        for section in sections:
            for name, look in section.looks.items():
                findings, seconds = self._found(section.source, name, look)
                for finding in findings:
                    yield Examined(section.title, finding, seconds)
        for source in self._askers.keys() - self._gone:
            with contextlib.suppress(NoAnswerError):
                self._askers[source].ask(source.let_go, seconds=self.seconds)

    def _found(self, source: Source, name: str, look: Look) -> tuple[Collection[Finding], float]:
        if source in self._gone:
            return [skipped(name, f"Not looked at: {source.title} can't be asked.")], 0.0
        if source not in self._askers:
            self._askers[source] = Asker()
        try:
            found: tuple[list[Finding], float]
            found = self._askers[source].ask(lambda: source.hold(look), seconds=self.seconds)
            return found
        except NoAnswerError:
            self._gone.add(source)
            says = f"{source.title} gave no answer within {self.seconds:g} seconds."
            return [problem(name, says, source.advice)], self.seconds
        except AwayError as error:
            self._gone.add(source)
            return [problem(name, f"{source.title} can't be reached: {_first_line(error)}", source.advice)], 0.0
        except NotNowError as error:
            return [skipped(name, f"Not looked at: {error}")], 0.0
        except Exception as error:  # one look that fails must not end the others
            says = f"Could not look: {type(error).__name__}: {_first_line(error)}"
            return [problem(name, says, "If the other findings don't explain it, report it.")], 0.0


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
