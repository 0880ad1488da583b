"""Which servers a key reaches unencrypted."""

import pytest

from hourhand.commands.login import is_unencrypted


@pytest.mark.parametrize("url", ["https://a.test", "http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:1"])
def test_https_and_this_machine_are_safe(url: str):
    assert not is_unencrypted(url)


@pytest.mark.parametrize("url", ["http://a.test", "http://10.0.0.1:8000", "http://localhost.a.test"])
def test_http_to_others_is_not(url: str):
    assert is_unencrypted(url)
