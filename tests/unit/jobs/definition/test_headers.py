"""Headers a job may set: none that Hourhand sets itself, and none that would end a line early."""

import pytest

from jobs.definition.headers import PROTECTED_HEADERS, header_problems
from runs.attempts.redaction import redact_headers


@pytest.mark.parametrize("name", sorted(PROTECTED_HEADERS | {"x-hourhand-anything"}))
def test_hourhands_own_headers_cant_be_set_in_any_case(name: str) -> None:
    for spelled in (name, name.upper(), name.title()):
        assert header_problems({spelled: "mine"}) == {spelled: "Hourhand sets this header itself."}


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_signatures_are_among_them(name: str) -> None:
    assert name in PROTECTED_HEADERS


@pytest.mark.parametrize(
    "name", ["", "X Y", "X:Y", "X\r\nHost", "X\n", "X\r", "X\x00", "Ünder", " X", "X ", "webhook-id ", "(X)"]
)
def test_a_header_name_is_a_token(name: str) -> None:
    assert name in header_problems({name: "value"})


@pytest.mark.parametrize("mark", ["\r\n", "\r", "\n", "\x00", "\x0b", "\x1f", "\x7f"])
def test_a_value_contains_no_control_character(mark: str) -> None:
    for value in (f"a{mark}webhook-id: forged", mark, f"a{mark}", f"{mark}a"):
        assert "X-Shade" in header_problems({"X-Shade": value})


def test_ordinary_headers_are_fine() -> None:
    assert (
        header_problems({"X-Shade": "blue\tor green", "Authorization": "Bearer x", "X-Empty": "", "X-Webhook": "1"})
        == {}
    )


def test_a_repeated_name_is_refused() -> None:
    assert list(header_problems({"X-Shade": "a", "x-shade": "b"})) == ["x-shade"]


def test_history_keeps_the_webhook_id_but_not_the_signature() -> None:
    sent = (("webhook-id", "msg_1"), ("webhook-timestamp", "1614265330"), ("webhook-signature", "v1,abc v1,def"))
    assert redact_headers(sent) == {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "[redacted]",
    }
