"""Cells, durations and times on the command line."""

import datetime
import sys

import pytest

from hourhand.output import cell, column, duration, instant, printable, write_table, yaml_text
from hourhand.times import instant_of

NOW = datetime.datetime(2026, 3, 15, 12, 0, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((None, "-"), ("", "-"), ([], "-"), (True, "yes"), (False, "no"), (0, "0"), (["a", 1], "a, 1")),
        *(({"every_seconds": 90}, '{"every_seconds": 90}'), ("a\nb", "a b"), ("\x1b]0;x\x07", "\\u001b]0;x\\u0007")),
    ],
)
def test_a_cell_is_one_harmless_line(value: object, shown: str):
    assert cell(value) == shown


@pytest.mark.parametrize("control", ["\x1b", "\x9b", "\r", "\x00", "\u202e", "\u200b"])
def test_controls_are_escaped(control: str):
    assert control not in printable(f"a{control}b")
    assert printable("a\tb\nä漢") == "a\tb\nä漢"


def test_a_column_reads_a_path():
    assert column("Deep", "a.b").value({"a": {"b": 1}}) == 1
    assert column("Deep", "a.b").value({"a": None}) is None


def test_columns_align_wide_characters(capsys: pytest.CaptureFixture[str]):
    write_table(["A", "B"], [["漢字", "x"], ["abcde", "y"], ["e\u0301", "z"]])
    assert capsys.readouterr().out.splitlines() == ["A      B", "漢字   x", "abcde  y", "e\u0301      z"]


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (None, None),
        (999, "999 ms"),
        (1500, "1.5 s"),
        (59_400, "59.4 s"),
        (59_940, "1 min 0 s"),
        (61_000, "1 min 1 s"),
        (7_260_000, "2 h 1 min"),
    ],
)
def test_durations_are_for_people(milliseconds: int | None, shown: str | None):
    assert duration(milliseconds) == shown


def test_instants_are_shown_to_the_second():
    assert instant("2026-03-15T02:00:00.123Z") == "2026-03-15T02:00:00Z"
    assert instant(None) is None


def test_yaml_keeps_the_order_and_writes_lines_as_a_block():
    assert yaml_text({"b": "x\ny\n", "a": ["0 2 * * *", "010", "größe"]}) == (
        "b: |\n  x\n  y\na:\n- 0 2 * * *\n- '010'\n- größe"
    )


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2h", "2026-03-15T10:00:00Z"),
        ("90m", "2026-03-15T10:30:00Z"),
        ("1w", "2026-03-08T12:00:00Z"),
        ("2026-03-15", "2026-03-15T00:00:00+00:00"),
        ("2026-03-15T02:00Z", "2026-03-15T02:00:00+00:00"),
        ("2026-03-15T02:00:00.123Z", "2026-03-15T02:00:00.123000+00:00"),
        ("2026-03-15T02:00+01:00", "2026-03-15T02:00:00+01:00"),
    ],
)
def test_times_are_instants_or_ages(text: str, at: str):
    assert instant_of(text, now=NOW) == at


@pytest.mark.parametrize("text", ["", "yesterday", "h", "-2h", "2 h", "9999999d", "2026-13-01"])
def test_anything_else_is_no_time(text: str):
    with pytest.raises(ValueError, match="neither a time"):
        instant_of(text, now=NOW)


class TestTerminal:
    """rich writes tables if it is installed and stdout is a terminal."""

    @pytest.fixture(autouse=True)
    def terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in (("TERM", "xterm-256color"), ("COLUMNS", "80")):
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("NO_COLOR", raising=False)

    def shown(self, capsys: pytest.CaptureFixture[str]) -> str:
        sys.stdout.isatty = lambda: True  # type: ignore[method-assign] # capsys makes one for each test
        write_table(["STATUS", "ERROR"], [["failed", "[bold]HTTP[/bold] 503"]])
        return capsys.readouterr().out

    def test_a_status_has_a_color_and_data_is_no_markup(self, capsys: pytest.CaptureFixture[str]):
        shown = self.shown(capsys)
        assert "\x1b[31mfailed\x1b[0m" in shown
        assert "[bold]HTTP[/bold] 503" in shown

    def test_no_color_is_honored(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("NO_COLOR", "1")
        assert "\x1b[31m" not in self.shown(capsys)

    def test_without_rich_tables_are_plain(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setitem(sys.modules, "rich.console", None)
        assert self.shown(capsys) == "STATUS  ERROR\nfailed  [bold]HTTP[/bold] 503\n"
