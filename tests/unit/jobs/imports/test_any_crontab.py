"""Any crontab, against an independent model: each line becomes an equivalent job, or is refused."""

import re
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.imports import read_crontab


@dataclass(frozen=True)
class LineMeaning:
    """The meaning of a generated line; None if cron makes no call of it that we support."""

    schedule: str
    url: str
    method: str
    body: str | None
    headers: dict[str, str]


plain = st.text("abcXYZ019._~-", min_size=1, max_size=6)
# A backslash before a percent sign is for cron to take away: which text would remain, depends on the quotes around.
argument = st.text("abc 019{}\":;&|<>$#*()!?=,\\'%\tüß", max_size=12).filter(lambda text: "\\%" not in text)


def as_shell_word(text: str, style: int) -> str:
    """The text as a word of a POSIX shell."""
    if style == 0:
        return "'" + text.replace("'", "'\\''") + "'"
    if style == 1:
        return '"' + re.sub(r'([$`"\\])', r"\\\1", text) + '"'
    return re.sub(r"([^A-Za-z0-9_./:@%+,=-])", r"\\\1", text) if text else "''"


def in_crontab(command: str) -> str:
    """A command as cron parses it."""
    return re.sub(r"(?<!\\)%", r"\\%", command)


@st.composite
def known_lines(draw: st.DrawFn) -> tuple[str, LineMeaning]:
    """A line of a crontab, and its meaning."""
    gap = draw(st.sampled_from([" ", "\t", "  ", " \t"]))
    schedule = draw(st.sampled_from(["0 2 * * *", "*/5 1-3 * * mon-fri", "@hourly", "@daily", "59 23 31 12 7"]))
    path = "/".join(draw(st.lists(plain.filter(lambda text: text.strip(".")), max_size=3)))
    escape = draw(st.sampled_from(["", "%2F", "%20x"]))
    query = draw(st.sampled_from(["", "?a=1", "?a=1&b=2", "?q=x;y"]))
    url = f"https://a.test/{path}{escape}{query}"
    style = st.integers(0, 2)
    words, method, body = ["curl"], "GET", None
    headers: dict[str, str] = {}
    if draw(st.booleans()):
        body = draw(argument)
        words += ["--data-raw", as_shell_word(body, draw(style))]
        method = "POST"
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    if draw(st.booleans()):
        value = draw(argument).replace("\\", "").strip(" \t")
        if value:
            words += ["-H", as_shell_word(f"X-A: {value}", draw(style))]
            headers["X-A"] = value
    words += draw(st.sampled_from([[], ["-fsS"], ["-v", "-o", "/dev/null"]]))
    words.append(as_shell_word(url, draw(style)))
    command = gap.join(words) + draw(
        st.sampled_from(["", " > /dev/null", " >/dev/null 2>&1", "  # a comment", " || true"])
    )
    line = gap.join([*schedule.split(), in_crontab(command)])
    return line, LineMeaning(schedule, url, method, body, headers)


def is_as_meant(definition: Any, meant: LineMeaning) -> bool:
    request = definition["request"]
    return (definition["schedule"], request["url"], request["method"], request.get("body"), request.get("headers", {})) == (  # noqa: E501
        meant.schedule, meant.url, meant.method, meant.body, meant.headers
    )  # fmt: skip


others = st.sampled_from(
    ["", "   ", "\t", "# Nightly", "#0 1 * * * curl https://old.test/", "# a\x0c0 1 * * * curl https://old.test/", "#!/bin/sh",  # noqa: E501
     "CRON_TZ=Asia/Tokyo", "CRON_TZ = 'Europe/Paris'", "CRON_TZ=", "TZ=Asia/Kolkata", 'MAILTO=""', "# x\r0 1 * * * curl o.test"]  # noqa: E501
)  # fmt: skip
broken = st.sampled_from(
    ["0 5 9 * * mon curl -fsS https://b.test/", "0 7 * * * mpg123 http://b.test/", "0 7 * * * echo curl https://b.test/",
     "0 2 * * * curl https://b.test/e%2Fx", "0 2 * * * /opt/x", "0/5 * * * * curl https://b.test/", "@reboot curl b.test",  # noqa: E501
     "0 2 * * * curl https://b.test/ | sh", "0 2 * * * curl b.test\x0cx", "0 2 * * * deploy curl https://b.test/", "0 2"]  # noqa: E501
)  # fmt: skip


#: The number of a line, its meaning (None: refused), its time zone and its text.
Expected = tuple[int, LineMeaning | None, str, str]


@st.composite
def crontabs(draw: st.DrawFn) -> tuple[str, list[Expected]]:
    """A file, and the meaning of each of its lines that should be a job."""
    ending = draw(st.sampled_from(["\n", "\r\n"]))
    lines, expected, zone = [], [], "Europe/Berlin"
    for number in range(1, draw(st.integers(1, 8)) + 1):
        kind = draw(st.sampled_from(["known", "known", "other", "broken"]))
        if kind == "known":
            line, meant = draw(known_lines())
            expected.append((number, meant, zone, line))
        elif kind == "broken":
            line = draw(broken)
            expected.append((number, None, zone, line))
        else:
            line = draw(others)
            if line.startswith("CRON_TZ"):
                zone = {"CRON_TZ=": "Europe/Berlin"}.get(line) or re.findall(r"[A-Z][a-z]+/\w+", line)[0]
        lines.append(line)
    return draw(st.sampled_from(["", "\ufeff"])) + ending.join(lines) + draw(st.sampled_from(["", ending])), expected


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(crontabs())
def test_each_line_becomes_an_equivalent_job_or_is_refused(file: tuple[str, list[Expected]]) -> None:
    text, expected = file
    items = read_crontab(text, timezone="Europe/Berlin")
    assert [item.line for item in items] == [number for number, *_ in expected]
    for item, (_, meant, zone, line) in zip(items, expected, strict=True):
        if item.definition is None:
            assert item.problem
            # Nothing else of what is generated is refused: braces that would be a variable, a backslash before a percent.  # noqa: E501
            assert meant is None or "{{" in line.replace("\\", "") or re.search(r"\\[^%]*\\%", line), (item, meant)
            continue
        assert meant is not None, item
        assert is_as_meant(item.definition, meant), (item, meant)
        assert item.definition["timezone"] == zone


@given(st.text())
def test_any_crontab_is_parsed_without_an_error(text: str) -> None:
    for item in read_crontab(text):
        assert (item.definition is None) == (item.problem is not None)
