"""The allow-list of HTTP calls: what an entry allows, and what no host name can allow."""

from ipaddress import ip_address

import pytest

from hourhand.agent.guard import HttpRules, InvalidUrlError, parse_url


def refusal(url: str, address: str, *allow: str) -> str | None:
    """Why the URL, whose host resolves to the address, is refused."""
    rules, target = HttpRules.parse(allow), parse_url(url)
    return rules.target_refusal(target) or rules.address_refusal(target, ip_address(address))


@pytest.mark.parametrize(
    ("url", "address", "entry"),
    [
        ("http://10.1.2.3/", "10.1.2.3", "10.0.0.0/8"),
        ("https://any.name/", "10.1.2.3", "10.0.0.0/8"),
        ("http://any.name:8080/", "10.1.2.3", "10.1.2.3:8080"),
        ("http://any.name:9/", "10.1.2.3", "10.1.2.3:*"),
        ("http://[fd00::1]/", "fd00::1", "fd00::/8"),
        ("http://[fd00::1]:8080/", "fd00::1", "[fd00::/8]:8080"),
        ("http://app.internal/", "192.168.1.1", "app.internal"),
        ("http://APP.internal.:8443/", "192.168.1.1", "App.Internal:8443"),
        ("http://localhost/", "127.0.0.1", "127.0.0.0/8"),
    ],
)
def test_what_an_entry_allows(url: str, address: str, entry: str):
    assert refusal(url, address, entry) is None


@pytest.mark.parametrize(
    ("url", "address", "entries", "said"),
    [
        ("http://app.internal/", "10.1.2.3", [], "does not list app.internal"),
        ("http://app.internal/", "10.1.2.3", ["other.internal"], "does not list app.internal"),
        ("http://evil.app.internal/", "10.1.2.3", ["app.internal"], "does not list evil.app.internal"),
        ("http://app.internal:8080/", "10.1.2.3", ["app.internal"], "no port 8080 for app.internal"),
        ("http://10.1.2.3:8080/", "10.1.2.3", ["10.0.0.0/8"], "no port 8080"),
        ("http://11.1.2.3/", "11.1.2.3", ["10.0.0.0/8"], "11.1.2.3 is not listed"),
        ("http://any.name/", "11.1.2.3", ["10.0.0.0/8"], "resolves to 11.1.2.3, which is not in a network"),
        ("http://any.name:8080/", "10.1.2.3", ["10.0.0.0/8", "11.0.0.0/8:8080"], "not in a network"),
        ("http://any.name/", "fd00::1", ["10.0.0.0/8"], "not in a network"),
    ],
)
def test_what_is_not_listed_is_refused(url: str, address: str, entries: list[str], said: str):
    assert said in refusal(url, address, *entries)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.1", "169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
        *("224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "ff02::1", "fd00:ec2::254"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"),
    ],
)
def test_a_listed_name_can_not_lead_to_the_machine_itself_or_to_metadata(address: str):
    said = refusal("http://app.internal/", address, "app.internal", "10.0.0.0/8")
    assert said is not None
    assert "only a network" in said
    assert refusal("http://app.internal/", address, "app.internal", address.split("%", maxsplit=1)[0]) is None


@pytest.mark.parametrize(
    "entry", ["*", "*.internal", "http://app", "app/path", "10.0.0.0/33", "app:0", "app:70000", ""]
)
def test_an_entry_that_means_nothing_is_refused_with_what_is_right(entry: str):
    with pytest.raises(ValueError, match=r"neither a network such as|a port is a number"):
        HttpRules.parse((entry,))


def test_bits_beyond_the_prefix_are_refused_with_the_network():
    with pytest.raises(ValueError, match=r"write 10\.0\.0\.0/8"):
        HttpRules.parse(("10.1.0.0/8:*",))


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("http://a.example", "a.example", 80, "/"),
        ("HTTPS://A.Example:8443/x%2fy?q=%7e#part", "a.example", 8443, "/x%2fy?q=%7e"),
        ("http://a.example?x=1", "a.example", 80, "/?x=1"),
        ("http://a.example./", "a.example", 80, "/"),
        ("http://[FD00::1]:81/", "fd00::1", 81, "/"),
        ("http://10.0.0.1/", "10.0.0.1", 80, "/"),
    ],
)
def test_a_url_is_read_strictly_and_its_path_is_kept(url: str, host: str, port: int, path: str):
    target = parse_url(url)
    assert (target.host, target.port, target.path) == (host, port, path)


@pytest.mark.parametrize(
    "url",
    [
        *("", "ftp://a/", "//a/", "http://", "http:///x", "http://user@a/", "http://a:b@c/", "http://a\\@b/"),
        *("http://a b/", "http://a\r\n/", "http://ä/", "http://a%2eb/", "http://a:0/", "http://a:65536/", "http://a:/"),
        *("http://2130706433/", "http://0x7f.1/", "http://127.1/", "http://010.0.0.1/", "http://10.0.0.1./"),
        *("http://[::1%25eth0]/", "http://[::1/", "http://::1/", "http://a..b/", "http://-a/", "http://" + "a" * 2050),
    ],
)
def test_a_url_that_another_parser_could_read_differently_is_refused(url: str):
    with pytest.raises(InvalidUrlError):
        parse_url(url)
