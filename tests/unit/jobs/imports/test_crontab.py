"""Each line of a crontab becomes a job with the same call at the same times, or is refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.imports import read_crontab
from jobs.imports.names import holds_credential, name_in_comment, name_of_url
from tests.support.crontab_lines import CALL, error_of, item_of, job_of

REQUEST = {"url": "https://a.test/x", "method": "GET"}
CRONTAB = """\
# m h dom mon dow command
SHELL=/bin/sh
MAILTO = "ops@a.test"

# Nightly report
0 2 * * mon-fri curl https://a.test/report?day=1
CRON_TZ="Europe/Berlin"
@daily\thttps://a.test/daily
0 3 * * * curl -d @- https://a.test/ %one%two \\% three
@reboot curl https://a.test/
0 4 * * * curl 'https://a.test/?p=10\\%'
0 5 * * *
"""


def test_a_crontab_is_read_line_by_line() -> None:
    items = read_crontab(CRONTAB)
    assert [item.line for item in items] == [6, 8, 9, 10, 11, 12]
    found = [item.definition or {} for item in items]
    assert [(each.get("name"), each.get("schedule"), each.get("timezone")) for each in found] == [
        ("Nightly report", "0 2 * * mon-fri", "UTC"),
        ("a.test/daily", "@daily", "Europe/Berlin"),
        ("a.test", "0 3 * * *", "Europe/Berlin"),
        (None, None, None),
        ("a.test", "0 4 * * *", "Europe/Berlin"),
        (None, None, None),
    ]
    assert found[2]["request"]["body"] == "onetwo % three"  # curl -d strips the line breaks of what it reads
    assert found[4]["request"]["url"] == "https://a.test/?p=10%"
    assert "@daily" in (items[3].problem or "")
    assert "five fields and a command" in (items[5].problem or "")
    assert any("SHELL, MAILTO" in note for note in items[0].notes)


class TestPercent:
    @pytest.mark.parametrize(
        "command",
        [
            "https://example.com/e%2Fpath",
            "curl https://example.com/e%2Fpath",
            "curl 'https://example.com/e%2Fpath'",
            'curl -d \'{"p": "5%"}\' https://example.com/',
            "curl https://example.com/?q=100%",
            "curl https://example.com/ %",
            "curl https://example.com/ %input",
            "curl -d @- https://example.com/e%2Fpath",
            "wget -qO- https://example.com/?d=%20x",
            r"curl https://example.com/e\\%2Fpath",
            "curl -w '%{http_code}' https://example.com/",
            "curl -d 'a %b' https://example.com/",
        ],
    )
    def test_a_percent_sign_that_ends_a_command_never_makes_it_shorter(self, command: str) -> None:
        assert "%" in error_of(f"0 2 * * * {command}")

    @pytest.mark.parametrize(
        ("command", "url"),
        [
            (r"https://example.com/e\%2Fpath", "https://example.com/e%2Fpath"),
            (r"curl 'https://example.com/?q=a\%20b\%21'", "https://example.com/?q=a%20b%21"),
            (r"wget -qO- https://example.com/e\%2Fpath", "https://example.com/e%2Fpath"),
        ],
    )
    def test_a_percent_sign_with_a_backslash_is_one(self, command: str, url: str) -> None:
        assert job_of(f"0 2 * * * {command}")["request"]["url"] == url

    @pytest.mark.parametrize(
        ("option", "input_", "body"),
        [
            ("-d", "%one%two", "onetwo"),
            ("--data-binary", "%one%two", "one\ntwo\n"),
            ("--data-binary", "%one%", "one\n"),
            ("--data-binary", r"%a\%b\c\\%d", "a%b\\c\\%d\n"),
            ("--json", '%{"a": 1}', '{"a": 1}\n'),
            ("--data-binary", "%", ""),
        ],
    )
    def test_text_after_a_percent_sign_is_curls_input(self, option: str, input_: str, body: str) -> None:
        assert job_of(f"0 2 * * * curl {option} @- https://a.test/ {input_}")["request"]["body"] == body


class TestUserColumn:
    @pytest.mark.parametrize(
        "lines",
        [
            ["\troot\t" + CALL],
            ['root "/usr/bin/curl" https://a.test/x'],
            ["root " + CALL, "deploy.user " + CALL],
            ["www-data   timeout 5 " + CALL, "backup " + CALL, "a_b$ " + CALL],
            ["root https://a.test/x"],
        ],
    )
    def test_a_user_column_of_the_whole_file_is_removed(self, lines: list[str]) -> None:
        items = read_crontab("\n".join(f"0 2 * * * {line}" for line in lines))
        assert [(item.definition or {}).get("request", {}).get("url") for item in items] == [REQUEST["url"]] * len(
            lines
        )

    def test_a_header_reveals_the_user_column(self) -> None:
        header = "# m h dom mon dow user  command"
        assert job_of(f"{header}\n0 2 * * * deploy {CALL}")["request"] == REQUEST

    @pytest.mark.parametrize("user", ["deploy.user", "root", "_www", "svc-1", "MACHINE$"])
    def test_a_parameter_declares_the_user_column(self, user: str) -> None:
        assert job_of(f"0 2 * * * {user} {CALL}", user_column=True)["request"] == REQUEST
        assert "not an HTTP call" in error_of(f"0 2 * * * {user} {CALL}", user_column=False)

    @pytest.mark.parametrize(
        "line",
        [
            "0 5 9 * * mon curl -fsS https://a.test/",
            "0 5 9 * * * curl -fsS https://a.test/",
            "0 7 * * 1-5 mpg123 http://stream.example.com/radio.mp3",
            "0 7 * * * echo curl https://a.test/",
            "0 7 * * * torsocks curl https://a.test/",
            "0 7 * * * deploy curl https://a.test/",
            "@daily xargs curl https://a.test/",
            f"0 7 * * * root {CALL}\n0 7 * * * echo {CALL}",
            f"0 7 * * * root {CALL}\n0 7 * * * mpg123 http://stream.example.com/",
            f"0 7 * * * root {CALL}\n0 5 9 * * mon {CALL}",
            f"0 7 * * * {CALL}\n0 7 * * * root {CALL}",
        ],
    )
    def test_a_word_before_a_call_is_not_taken_for_a_user(self, line: str) -> None:
        assert read_crontab(line)[-1].definition is None

    @pytest.mark.parametrize(
        "command", [CALL, "wget -q https://a.test/", f"echo {CALL}", "/bin/x", f"mon {CALL}", "root"]
    )
    def test_a_line_without_the_declared_user_column_is_refused(self, command: str) -> None:
        assert "user" in error_of(f"0 2 * * * {command}", user_column=True)


class TestVariables:
    def test_only_cron_tz_moves_the_schedule(self) -> None:
        text = f"""\
0 1 * * * {CALL}
CRON_TZ=Asia/Tokyo
TZ=Europe/Paris
0 2 * * * {CALL}
CRON_TZ = 'America/New_York'
0 3 * * * {CALL}
CRON_TZ=
0 4 * * * {CALL}
CRON_TZ=""
0 5 * * * {CALL}
"""
        items = read_crontab(text, timezone="Europe/Berlin")
        zones = ["Europe/Berlin", "Asia/Tokyo", "America/New_York", "Europe/Berlin", "Europe/Berlin"]
        assert [(item.definition or {})["timezone"] for item in items] == zones
        assert [any("TZ only affects" in note for note in item.notes) for item in items] == [False] + [True] * 4

    @pytest.mark.parametrize("setting", ["http_proxy=http://p", "HTTPS_PROXY = p", "ALL_PROXY=x", "CURL_HOME=/x"])
    def test_variables_that_would_change_the_call_are_refused(self, setting: str) -> None:
        assert "changes what is called" in error_of(f"{setting}\n0 2 * * * {CALL}")

    @pytest.mark.parametrize("shell", ["/usr/bin/fish", "/bin/csh", "/usr/bin/python3"])
    def test_commands_for_another_shell_are_refused(self, shell: str) -> None:
        assert "only sh syntax" in error_of(f"SHELL={shell}\n0 2 * * * {CALL}")
        assert job_of(f"SHELL=/bin/bash\n0 2 * * * {CALL}")["request"] == REQUEST

    def test_a_random_delay_is_jitter(self) -> None:
        assert job_of(f"RANDOM_DELAY=5\n0 2 * * * {CALL}")["jitter_seconds"] == 300


class TestLines:
    @pytest.mark.parametrize("breaking", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\r"])
    def test_a_line_ends_at_lf_only(self, breaking: str) -> None:
        assert read_crontab(f"# disabled:{breaking}0 2 * * * {CALL}") == []
        assert len(read_crontab(f"0 2 * * * curl -d 'a{breaking}b' https://a.test/\n0 3 * * * {CALL}")) == 2
        assert item_of(f"0 2 * * *{breaking}{CALL}").definition is None

    def test_crlf_and_a_byte_order_mark_are_no_part_of_a_line(self) -> None:
        assert job_of(f"\ufeff0 2 * * * {CALL}\r\n")["request"] == REQUEST
        items = read_crontab(f"\ufeff# A name\r\n0 2 * * * {CALL}\r\n\r\nCRON_TZ=Asia/Tokyo\r\n0 3 * * * {CALL}")
        assert [(item.definition or {})["timezone"] for item in items] == ["UTC", "Asia/Tokyo"]
        assert (items[0].definition or {})["name"] == "A name"

    @pytest.mark.parametrize("gap", ["\t", "  ", " \t "])
    def test_blanks_are_spaces_and_tabs(self, gap: str) -> None:
        line = gap + gap.join(["0", "2", "*", "*", "*", "curl", "-d", "''", "https://a.test/x"]) + gap
        assert job_of(line) | {"request": 0} == job_of(f"0 2 * * * {CALL}") | {"request": 0}
        assert job_of(line)["request"]["body"] == ""

    def test_shared_locks_are_refused(self) -> None:
        items = read_crontab(f"0 1 * * * flock -n /l {CALL}\n0 2 * * * flock -n /m {CALL}\n0 3 * * * flock /l {CALL}")
        assert [item.definition is None for item in items] == [True, False, True]


class TestNames:
    @pytest.mark.parametrize(
        ("comment", "name"),
        [
            ("# Nightly report", "Nightly report"),
            ("#Nightly report:", "Nightly report"),
            ("### Nightly report ###", "Nightly report"),
            ("# ---- Größe & Maß ----", "Größe & Maß"),
            ("#Ansible: sync customers", "sync customers"),
            ("# Token refresh", "Token refresh"),
            ("# Basic health check", "Basic health check"),
            ("# Report Q3 2026", "Report Q3 2026"),
            ("# [billing] Send the invoices of 2026-03", "[billing] Send the invoices of 2026-03"),
            ("#0 2 * * * curl https://a.test/?token=x", None),
            ("# disabled: 0 2 * * * curl https://a.test/", None),
            ("# */5 * * * * root /opt/x.sh", None),
            ("# @daily curl https://a.test/", None),
            ("# old: @hourly /opt/x.sh", None),
            ("# curl -H 'Authorization: Bearer x' https://a.test/", None),
            ("# /usr/bin/php /srv/cron.php", None),
            ("# m h  dom mon dow   command", None),
            ("# min hour day month weekday command", None),
            ("# *  *  *  *  * user-name command to be executed", None),
            ("# |  |  |  |  .---- day of week (0 - 6) (Sunday=0 or 7)", None),
            ("# .---------------- minute (0 - 59)", None),
            ("#!/bin/sh", None),
            ("# ==========", None),
            ("#", None),
            ("# DO NOT EDIT THIS FILE - edit the master and reinstall.", None),
            ("# (/tmp/crontab.x installed on Mon Mar 2)", None),
            ("# MAILTO=ops@a.test", None),
            ("# key: abc", None),
            ("# password hunter2", None),
            ("# api_key=abcdef", None),
            ("# Authorization: Bearer abcdef", None),
            ("# for bob:hunter2@a.test", None),
            ("# sk_live_abcdef", None),
            ("# 6f1d7a0e-5a0b-5c38-9d0c-8a4f4f1c2b7e", None),
            ("# uses 4f9d2c7b1a8e", None),
            ("# uses Zx9QpL7v", None),
            ("# uses AbCdEfGhIj", None),
        ],
    )
    def test_a_descriptive_comment_becomes_the_name(self, comment: str, name: str | None) -> None:
        assert name_in_comment(comment) == name
        assert job_of(f"{comment}\n0 2 * * * {CALL}")["name"] == (name or "a.test/x")

    @pytest.mark.parametrize(
        ("url", "name"),
        [
            ("https://a.test/", "a.test"),
            ("https://a.test/report/daily?token=x#y", "a.test/report/daily"),
            ("https://bob:hunter2@a.test/x", "a.test/x"),
            ("https://hooks.test/services/T0/B0/xyz", "hooks.test/services"),
            ("https://ping.test/6f1d7a0e-5a0b-5c38-9d0c-8a4f4f1c2b7e/start", "ping.test"),
            ("https://a.test/bot123:abc/send", "a.test"),
            ("https://a.test/cron/4f9d2c7b1a8e/run", "a.test/cron"),
            ("https://a.test/token/abc/run", "a.test/token"),
            ("https://a.test/run;key=abc", "a.test"),
            ("https://a1b2c3d4e5f6.tunnel.test/x", "tunnel.test/x"),
            ("https://a.test/api/v2/users", "a.test/api/v2/users"),
        ],
    )
    def test_a_url_becomes_a_name_without_credentials(self, url: str, name: str) -> None:
        assert name_of_url(url) == name

    @given(st.text("abcdefXYZ0123456789-_", min_size=20, max_size=40))
    def test_long_texts_with_digits_are_not_used_as_names(self, token: str) -> None:
        runs = re.findall("[A-Za-z0-9]+", token)
        if any(len(run) >= 12 and any(map(str.isdigit, run)) and any(map(str.isalpha, run)) for run in runs):
            assert holds_credential(token)
            assert token not in job_of(f"# {token}\n0 2 * * * curl https://a.test/{token}")["name"]
