"""Crontabs and curl commands, read as job objects or refused with what would be right."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.imports import ReadError, objects_in, read_crontab
from jobs.imports.curl import read_command

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
U = "https://a.test/x"


@pytest.mark.parametrize(
    ("command", "request_"),
    [
        (U, {"url": U, "method": "GET"}),
        ("https://a.test/?a=1&b=2", {"url": "https://a.test/?a=1&b=2", "method": "GET"}),
        (f"curl {U}", {"url": U, "method": "GET"}),
        (f"/usr/bin/curl -fsSo /dev/null {U}", {"url": U, "method": "GET"}),
        ("curl a.test", {"url": "http://a.test", "method": "GET"}),
        (f"curl -X put {U}", {"url": U, "method": "PUT"}),
        (f"curl -XDELETE --url {U}", {"url": U, "method": "DELETE"}),
        (f"curl -I {U}", {"url": U, "method": "HEAD"}),
        (f"curl -H 'A: b c' -A me {U}", {"url": U, "method": "GET", "headers": {"A": "b c", "User-Agent": "me"}}),
        (f"curl -d a=1 --data b=2 {U}", {"url": U, "method": "POST", "headers": FORM, "body": "a=1&b=2"}),
        (f"curl --json '{{\"a\":1}}' {U}", {"url": U, "method": "POST", "headers": JSON, "body": '{"a":1}'}),
        (f"curl --data-raw @x {U}", {"url": U, "method": "POST", "headers": FORM, "body": "@x"}),
        (f"curl -H 'content-type: text/plain' -d x {U}",
         {"url": U, "method": "POST", "headers": {"content-type": "text/plain"}, "body": "x"}),
        (f"curl --max-time 2.5 -k {U}", {"url": U, "method": "GET", "timeout_seconds": 2.5, "tls_verify": False}),
        (f"curl -m 20 {U} >/dev/null 2>&1", {"url": U, "method": "GET", "timeout_seconds": 20}),
        (f"curl {U} &>/dev/null # nightly", {"url": U, "method": "GET"}),
        (f"curl '{U}?a=1&b=$c'", {"url": f"{U}?a=1&b=$c", "method": "GET"}),
    ],
)  # fmt: skip
def test_a_command_becomes_the_request_that_it_made(command: str, request_: dict[str, Any]) -> None:
    assert read_command(command) == {"request": request_}


def test_retries_of_curl_become_attempts() -> None:
    assert read_command(f"curl --retry 4 {U}")["retry"] == {"max_attempts": 5}


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("/opt/backup.sh", "should be a URL, or curl"),
        ("curl", "names no URL"),
        (f"curl {U} {U}", "second one"),
        (f"curl {U}?a=1&b=2", "Quote a URL"),
        (f"curl {U} | grep ok", "no shell here for |"),
        (f"curl {U} && curl {U}", "no shell here for &&"),
        (f"curl {U} > /tmp/out", "no shell here for >"),
        (f"curl {U}/$DAY", "no shell here: write values"),
        (f'curl "{U}/$(date)"', "no shell here: write values"),
        (f"curl 'x {U}", "quotes don't match"),
        (f"curl -L {U}", "follows no redirects"),
        (f"curl -u a:b {U}", "as a secret"),
        (f"curl --cookie a=b {U}", "--cookie is not understood"),
        (f"curl -z 1 {U}", "-z is not understood"),
        (f"curl {U} -d", "needs a value"),
        (f"curl -d @body.json {U}", "no file body.json"),
        (f"curl -o out.html {U}", "-o /dev/null"),
        (f"curl -m soon {U}", "followed by a number"),
        (f"curl -H Accept {U}", "Name: value"),
    ],
)
def test_what_hourhand_would_do_otherwise_is_refused(command: str, told: str) -> None:
    with pytest.raises(ReadError) as refused:
        read_command(command)
    assert told in str(refused.value)


CRONTAB = """\
# m h dom mon dow command
SHELL=/bin/sh
MAILTO = "ops@a.test"

# Nightly report
0 2 * * mon-fri curl https://a.test/report?day=1
CRON_TZ="Europe/Berlin"
@daily\thttps://a.test/daily
0 3 * * * root curl -d @- https://a.test/ %one%two \\% three
@reboot curl https://a.test/
0 4 * * * curl 'https://a.test/?p=10\\%'
0 5 * * *
"""


def test_a_crontab_is_read_line_by_line() -> None:
    items = read_crontab(CRONTAB)
    assert [item.line for item in items] == [6, 8, 9, 10, 11, 12]
    found = [item.definition or {} for item in items]
    assert [(job.get("name"), job.get("schedule"), job.get("timezone")) for job in found] == [
        ("Nightly report", "0 2 * * mon-fri", "UTC"),
        ("a.test/daily", "@daily", "Europe/Berlin"),
        ("a.test", "0 3 * * *", "Europe/Berlin"),
        (None, None, None),
        ("a.test", "0 4 * * *", "Europe/Berlin"),
        (None, None, None),
    ]
    assert found[2]["request"]["body"] == "one\ntwo % three"
    assert found[4]["request"]["url"] == "https://a.test/?p=10%"
    assert "@daily" in (items[3].wrong or "")
    assert "five fields, then a command" in (items[5].wrong or "")


def test_input_that_nothing_reads_is_refused() -> None:
    (item,) = read_crontab("0 2 * * * curl https://a.test/?p=10%20x")
    assert r"\%" in (item.wrong or "")


@given(st.text())
def test_no_crontab_is_too_odd_to_be_read(text: str) -> None:
    for item in read_crontab(text):
        assert (item.definition is None) == (item.wrong is not None)


@pytest.mark.parametrize("value", [None, [], {}, {"jobs": {}}, {"jobs": [], "more": 1}, "jobs"])
def test_a_file_is_one_list_of_jobs(value: Any) -> None:
    with pytest.raises(ReadError):
        objects_in(value)


# -- numbers of YAML ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        *(
            "010",
            "-017",
            "0x1F",
            "0b101",
            "1_000",
            "1:30",
            "190:20:30",
            "1:30.5",
            ".inf",
            "-.INF",
            ".nan",
            "+5",
            ".5",
            "5.",
        ),
        *("!!int '1:30'", "!!float x", "9" * 5000, "-" + "9" * 5000, "1." + "9" * 5000, "1.0e+400"),
        *(":".join(["30"] * 200_000), "1" + ":59" * 200_000 + ".5", "0x" + "f" * 600_000, "0b" + "1" * 600_000),
        *("1_" * 300_000 + "1", "0" + "7" * 600_000),
    ],
    ids=lambda written: written[:14],
)
@pytest.mark.parametrize("around", ["jobs: []\nnumber: {}", "jobs:\n- {}", "jobs:\n- a: [1, {}]"])
def test_a_number_that_json_has_not_is_refused_with_its_line_at_once(written: str, around: str) -> None:
    began = time.process_time()
    with pytest.raises(ReadError, match=r"^Line [12]: ") as refusal:
        read_yaml(around.format(written))
    assert time.process_time() - began < 2
    assert len(str(refusal.value)) < 200
    assert "sys." not in str(refusal.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *(("0", 0), ("-0", 0), ("10", 10), ("-7", -7), ("1.5", 1.5), ("1.0e+3", 1000.0), ("9" * 4300, int("9" * 4300))),
        *(('"010"', "010"), ("'1:30'", "1:30"), ("1:90", "1:90"), ("08", "08"), ("2026-03-15", "2026-03-15")),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_number_that_json_has_means_the_same(written: str, value: object) -> None:
    found = read_yaml(f"a: {written}")["a"]
    assert (found, type(found)) == (value, type(value))
