"""Parsing of rates, and the address under which a request is counted."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from core.env import Env
from core.limits.addresses import client_address
from core.limits.rate import Rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("600/min", Rate(600, 60, 200)),
        ("5/min", Rate(5, 60, 5)),
        ("50/s", Rate(50, 1, 50)),
        ("1000/s", Rate(1000, 1, 1000)),
        ("1000/hour", Rate(1000, 3600, 200)),
        ("0", None),
    ],
)
def test_a_rate_is_per_second_minute_or_hour(text: str, rate: Rate | None) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize(
    "text", ["600", "600/m", "0/min", "-1/min", "6e2/min", "600 / min", "600/min/s", "lots", "٣/min"]
)
def test_any_other_rate_is_refused_with_a_correct_example(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"HOURHAND_API_RATE: .*600/min, or 0 for no limit"):
        Env({"HOURHAND_API_RATE": text}).rate("HOURHAND_API_RATE", "600/min")


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "counted"),
    [
        ("203.0.113.7", "", 0, "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", 0, "203.0.113.7"),
        ("10.0.0.1", "198.51.100.1", 1, "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", 1, "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.2", 2, "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1", 3, "198.51.100.1"),
        ("10.0.0.1", "", 1, "10.0.0.1"),
        ("10.0.0.1", "evil\r\nkey", 1, "unknown"),
        ("2001:db8:1:2:3:4:5:6", "", 0, "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "", 0, "203.0.113.7"),
        ("", "", 0, "unknown"),
    ],
)
def test_only_addresses_written_by_a_trusted_proxy_count(peer: str, forwarded: str, proxies: int, counted: str) -> None:
    meta = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}
    assert client_address(meta, trusted_proxies=proxies) == counted
