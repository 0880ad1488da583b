"""A recorded request as a command line: a real shell parses every argument unchanged."""

import shutil
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.runs.curl import MAX_BODY, curl_command, quoted

BASH = shutil.which("bash")
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40)


def command(**changes: Any) -> Any:
    sent = {"method": "POST", "url": "https://api.test/a?b=[1]", "headers": {}, "body": None, "body_encoding": "utf-8"}
    return curl_command(**{**sent, **changes})


def words_of(shell_text: str) -> list[str]:
    """Return a shell's parse of a command, without running curl."""
    assert BASH is not None
    script = 'curl() { printf "%s\\0" "$@"; }\n' + shell_text
    told = subprocess.run([BASH, "-c", script], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}).stdout
    return told.decode().split("\0")[:-1]


@pytest.mark.skipif(BASH is None, reason="there is no bash here")
@settings(max_examples=40, deadline=None)
@given(url=TEXTS, name=TEXTS, value=TEXTS.filter(bool), body=TEXTS)
def test_a_shell_parses_every_argument_unchanged(url: str, name: str, value: str, body: str) -> None:
    words = words_of(command(url=url, headers={name: value}, body=body).text)
    assert words[words.index("--url") + 1] == url
    assert words[words.index("--header") + 1] == f"{name}: {value}"
    assert words[words.index("--data-raw") + 1] == body


def test_redacted_values_are_placeholders_and_named() -> None:
    made = command(headers={"authorization": "[redacted]", "content-type": "text/plain"})
    assert made.placeholders == ("authorization",)
    assert "'authorization: <authorization>'" in made.text
    assert "'content-type: text/plain'" in made.text


def test_curl_does_not_glob_the_url_or_read_the_body_from_a_file() -> None:
    made = command(body="@/etc/passwd")
    assert "--globoff --path-as-is --request POST" in made.text
    assert "--data-raw @/etc/passwd" in made.text
    assert command(method="HEAD").text.startswith("curl --globoff --path-as-is --head")
    assert "--header 'x-empty;'" in command(headers={"x-empty": ""}).text


def test_a_binary_body_is_decoded_and_a_long_one_is_read_from_a_file() -> None:
    binary = command(body="/wA=", body_encoding="base64")
    assert binary.text.startswith("printf %s /wA= | base64 -d | curl")
    assert "--data-binary @-" in binary.text
    long = command(body="x" * (MAX_BODY + 1))
    assert long.lacks_body
    assert "xxx" not in long.text


@pytest.mark.parametrize("character", ["\x1b", "\r", "\x7f", "\u202e", "\u2028", "\x9b"])
def test_control_and_bidi_characters_are_escaped(character: str) -> None:
    assert character not in quoted(f"a{character}b'\\")
