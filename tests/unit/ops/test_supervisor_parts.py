"""The supervisor's parts: back-off and the logs of its children."""

import io
from pathlib import Path

import pytest

from ops.supervisor import output
from ops.supervisor.backoff import RestartBackoff
from ops.supervisor.output import Log, Terminal


def test_the_backoff_doubles_from_half_a_second_to_thirty() -> None:
    backoff = RestartBackoff()

    delays = [backoff.after(1.0) for _ in range(9)]

    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_minute_of_uptime_starts_the_backoff_anew() -> None:
    backoff = RestartBackoff()
    for _ in range(5):
        backoff.after(1.0)

    assert [backoff.after(60.0), backoff.after(59.9)] == [0.5, 1]


def test_lines_reach_the_terminal_whole_and_prefixed(tmp_path: Path) -> None:
    screen = io.BytesIO()
    log = Log("web", tmp_path, Terminal(screen))

    log.feed(b"one\ntw")
    log.feed(b"o\nthree")
    assert screen.getvalue() == b"web      | one\nweb      | two\n"
    log.end()

    assert screen.getvalue().endswith(b"web      | three\n")
    assert (tmp_path / "web.log").read_bytes() == b"one\ntwo\nthree\n"


def test_a_log_is_bounded_and_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_LOG_BYTES", 100)
    log = Log("web", tmp_path, None)

    for number in range(50):
        log.feed(b"line %d\n" % number)

    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["web.log", "web.log.1"]
    assert all(file.stat().st_size <= 100 and file.stat().st_mode & 0o777 == 0o600 for file in files)
    assert files[0].read_bytes().endswith(b"line 49\n")


def test_a_closed_terminal_does_not_stop_it(tmp_path: Path) -> None:
    screen = io.BytesIO()
    screen.close()

    Terminal(screen).say("hello")


def test_the_tail_keeps_the_last_lines_for_an_error_message(tmp_path: Path) -> None:
    log = Log("web", tmp_path, None)

    log.feed(b"".join(b"line %d\n" % number for number in range(100)))

    assert log.tail().splitlines()[0].strip() == "line 80"
    assert log.tail().splitlines()[-1].strip() == "line 99"
