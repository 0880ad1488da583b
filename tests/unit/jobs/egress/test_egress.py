"""Outbound policy: the address table over whole ranges, the strict URL parser, the operator's settings."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.egress import AddressRefusal, EgressPolicy, InvalidUrl, classify, parse_target
from jobs.egress.addresses import IPV4_RANGES, IPV6_RANGES

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "11.0.0.0",
    "126.255.255.255",
    "2606:4700::1111",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2a00:1450:4001::1",
    "2003::1",
    "3ffd:ffff::1",
    "3fff:1000::1",
    "2001:db7:ffff::1",
    "2001:db9::1",
]

REFUSED = [
    ("0.0.0.0", AddressRefusal.UNSPECIFIED),  # noqa: S104 - an address to refuse, not one to bind
    ("0.1.2.3", AddressRefusal.THIS_NETWORK),
    ("127.0.0.1", AddressRefusal.LOOPBACK),
    ("127.255.255.254", AddressRefusal.LOOPBACK),
    ("10.255.255.255", AddressRefusal.PRIVATE),
    ("172.31.0.1", AddressRefusal.PRIVATE),
    ("192.168.1.1", AddressRefusal.PRIVATE),
    ("169.254.169.254", AddressRefusal.LINK_LOCAL),
    ("100.100.100.200", AddressRefusal.SHARED),
    ("192.0.0.192", AddressRefusal.PROTOCOL_ASSIGNMENT),
    ("192.0.0.9", AddressRefusal.PROTOCOL_ASSIGNMENT),
    ("192.88.99.1", AddressRefusal.PROTOCOL_ASSIGNMENT),
    ("192.0.2.1", AddressRefusal.DOCUMENTATION),
    ("198.51.100.7", AddressRefusal.DOCUMENTATION),
    ("203.0.113.9", AddressRefusal.DOCUMENTATION),
    ("198.18.0.1", AddressRefusal.BENCHMARKING),
    ("224.0.0.1", AddressRefusal.MULTICAST),
    ("239.255.255.255", AddressRefusal.MULTICAST),
    ("240.0.0.1", AddressRefusal.RESERVED),
    ("255.255.255.254", AddressRefusal.RESERVED),
    ("255.255.255.255", AddressRefusal.BROADCAST),
    ("168.63.129.16", AddressRefusal.CLOUD_PLATFORM),
    ("::", AddressRefusal.UNSPECIFIED),
    ("::1", AddressRefusal.LOOPBACK),
    ("fe80::1", AddressRefusal.LINK_LOCAL),
    ("fec0::1", AddressRefusal.SITE_LOCAL),
    ("fd00:ec2::254", AddressRefusal.PRIVATE),
    ("ff02::1", AddressRefusal.MULTICAST),
    ("100::1", AddressRefusal.DISCARD),
    ("2001:db8::1", AddressRefusal.DOCUMENTATION),
    ("3fff::1", AddressRefusal.DOCUMENTATION),
    ("3fff:fff:ffff::", AddressRefusal.DOCUMENTATION),
    ("2001:2::1", AddressRefusal.BENCHMARKING),
    ("2001:20::1", AddressRefusal.PROTOCOL_ASSIGNMENT),
    ("5f00::1", AddressRefusal.RESERVED),
    ("4000::1", AddressRefusal.RESERVED),
    ("fe00::1", AddressRefusal.RESERVED),
    ("2606:4700::1%eth0", AddressRefusal.LINK_LOCAL),
    ("localhost", AddressRefusal.NOT_AN_ADDRESS),
    ("", AddressRefusal.NOT_AN_ADDRESS),
    ("010.0.0.1", AddressRefusal.NOT_AN_ADDRESS),
]

ipv4 = st.integers(0, 2**32 - 1)

#: Every way to embed an IPv4 address in an IPv6 one, by the number of bits the address is shifted.
EMBEDDINGS = {
    "mapped": ("::ffff:0:0", 0),
    "compatible": ("::", 0),
    "translated": ("::ffff:0:0:0", 0),
    "nat64": ("64:ff9b::", 0),
    "local_nat64": ("64:ff9b:1::", 0),
    "local_nat64_48": ("64:ff9b:1::", 48),
    "6to4": ("2002::", 80),
    "teredo_server": ("2001::", 64),
    "teredo_client": ("2001::", 0),
}


@pytest.mark.parametrize("ip", PUBLIC)
def test_ordinary_addresses_are_public(ip: str) -> None:
    assert classify(ip) is None


@pytest.mark.parametrize(("ip", "refusal"), REFUSED)
def test_each_special_address_has_its_reason(ip: str, refusal: AddressRefusal) -> None:
    assert classify(ip) is refusal


@given(st.sampled_from(IPV4_RANGES + IPV6_RANGES), st.data())
def test_no_address_of_a_listed_range_is_public(listed: tuple[str, AddressRefusal], data: st.DataObject) -> None:
    network = ip_network(listed[0])
    first, last = int(network.network_address), int(network.broadcast_address)
    for number in (first, last, data.draw(st.integers(first, last))):
        assert classify((IPv4Address if network.version == 4 else IPv6Address)(number)) is not None


@given(st.sampled_from(IPV4_RANGES + IPV6_RANGES))
def test_just_outside_a_range_only_another_range_refuses(listed: tuple[str, AddressRefusal]) -> None:
    network = ip_network(listed[0])
    table = IPV4_RANGES if network.version == 4 else IPV6_RANGES
    make = IPv4Address if network.version == 4 else IPv6Address
    for number in (int(network.network_address) - 1, int(network.broadcast_address) + 1):
        if 0 <= number < 2**network.max_prefixlen:
            listed_elsewhere = any(make(number) in ip_network(cidr) for cidr, _ in table)
            assert (classify(make(number)) is not None) == listed_elsewhere


@given(ipv4)
def test_addresses_that_python_calls_private_are_never_public(number: int) -> None:
    address = IPv4Address(number)
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert classify(address) is not None


@given(st.integers(0, 2**128 - 1))
def test_ipv6_is_public_only_inside_2000_3(number: int) -> None:
    if number >> 125 != 0b001:
        assert classify(IPv6Address(number)) is not None


@given(st.sampled_from(sorted(EMBEDDINGS)), ipv4, st.integers(0, 2**16 - 1))
@example("mapped", int(IPv4Address("8.8.8.8")), 0)
def test_an_embedded_ipv4_address_is_refused_even_a_public_one(embedding: str, number: int, port_bits: int) -> None:
    prefix, shift = EMBEDDINGS[embedding]
    address = IPv6Address(
        int(ip_address(prefix)) | number << shift | (port_bits << 32 if embedding == "teredo_client" else 0)
    )
    refusal = classify(address)
    assert refusal is not None
    if embedding != "compatible" or number > 1:  # :: and ::1 have names of their own
        assert refusal is AddressRefusal.EMBEDDED_IPV4


def test_every_refusal_has_a_message() -> None:
    assert all(refusal.description for refusal in AddressRefusal)


# -- URLs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://example.com", ("http", "example.com", 80)),
        ("HTTPS://Example.COM./a?b#c", ("https", "example.com", 443)),
        ("http://my_service:8080/", ("http", "my_service", 8080)),
        ("http://1.2.3.4/", ("http", "1.2.3.4", 80)),
        ("https://[2606:4700::0:1]:8443/x", ("https", "2606:4700::1", 8443)),
        ("http://xn--mnchen-3ya.de/", ("http", "xn--mnchen-3ya.de", 80)),
        ("http://a.b/?q=@:[]{}|", ("http", "a.b", 80)),
        ("http://example.com?x=1", ("http", "example.com", 80)),
        ("http://1.2.3.4.example.com/", ("http", "1.2.3.4.example.com", 80)),
        ("http://a.0b/", ("http", "a.0b", 80)),
    ],
)
def test_plain_urls_are_accepted(url: str, expected: tuple[str, str, int]) -> None:
    target = parse_target(url)
    assert (target.scheme, target.host, target.port) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "javascript:alert(1)",
        "http:/example.com",
        "http:///path",
        "http://",
        "http://?x",
        "http://user@example.com/",
        "http://user:pw@example.com/",
        "http://a@b@c/",
        "http://:80/",
        "http://example.com:/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:080/",
        "http://example.com:8a/",
        "http://example.com:-1/",
        "http://exa mple.com/",
        " http://example.com/",
        "http://example.com/ ",
        "http://example.com/\n",
        "http://example.com/\t",
        "http://example.com\\@evil.com/",
        "http://example.com/\\",
        "http://exämple.com/",
        "http://example.com/ü",
        "http://ex%61mple.com/",
        "http://example..com/",
        "http://.example.com/",
        "http://-a.com/",
        "http://a-.com/",
        f"http://{'a' * 64}.com/",
        f"http://{'a.' * 127}com/",
        "http://example.com/" + "a" * 2048,
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://017700000001/",
        "http://0177.0.0.1/",
        "http://127.0.0.1./",
        "http://1.2.3/",
        "http://1.2.3.4.5/",
        "http://256.1.1.1/",
        "http://01.2.3.4/",
        "http://a.0x/",
        "http://foo.1/",
        "http://1.2.3.0x4/",
        "http://[::1/",
        "http://::1/",
        "http://[::1]x/",
        "http://[::1%25eth0]/",
        "http://[::1%eth0]/",
        "http://[v1.a]/",
        "http://[1.2.3.4]/",
        "http://[]/",
        "http://[::g]/",
        "http://{{host}}/",
        "http://exa\x00mple.com/",
        "http://example.com\x7f/",
        "http://①②⑦.0.0.1/",
        "http://example.com\u3002/",
        "http://*.example.com/",
    ],
)
def test_ambiguous_urls_are_refused_with_a_reason(url: str) -> None:
    with pytest.raises(InvalidUrl) as refused:
        parse_target(url)
    assert str(refused.value).startswith("The ")
    assert str(refused.value).endswith((".", "it."))


@given(st.text(max_size=40), st.sampled_from(["http://", "https://", "http://a", "http://[::", ""]))
def test_any_url_is_accepted_or_refused_and_parsing_is_idempotent(rest: str, start: str) -> None:
    try:
        target = parse_target(start + rest)
    except InvalidUrl:
        return
    # An origin is that of a host, with or without a dot at the end of its name.
    assert parse_target(target.origin) == replace(target, rooted=False)
    assert target.host == target.host.lower()


@given(ipv4)
def test_only_canonical_dotted_quads_are_addresses(number: int) -> None:
    address = IPv4Address(number)
    assert parse_target(f"http://{address}/").address == address
    for spelling in (
        str(number),
        hex(number),
        f"{oct(number).replace('o', '')}",
        f"{number >> 24}.{number & 0xFFFFFF}",
    ):
        with pytest.raises(InvalidUrl):
            parse_target(f"http://{spelling}/")


# -- the operator's policy ---------------------------------------------------------------------------------------------


def test_only_ports_80_and_443_unless_others_are_named() -> None:
    assert EgressPolicy().check_target(parse_target("http://example.com:8080/")) is AddressRefusal.PORT
    assert EgressPolicy.parse("", "80,443,8080").check_target(parse_target("http://example.com:8080/")) is None
    assert EgressPolicy.parse("", "*").check_target(parse_target("http://example.com:1/")) is None
    assert EgressPolicy.parse("", "8080").check_target(parse_target("http://example.com/")) is AddressRefusal.PORT


def test_a_literal_address_is_refused_before_connecting() -> None:
    assert EgressPolicy().check_target(parse_target("http://10.0.0.1/")) is AddressRefusal.PRIVATE
    assert EgressPolicy().check_target(parse_target("http://[::1]/")) is AddressRefusal.LOOPBACK
    assert EgressPolicy().check_target(parse_target("http://8.8.8.8/")) is None
    assert EgressPolicy().check_target(parse_target("http://localhost/")) is None  # decided when connecting


def test_an_allowed_network_covers_any_name_and_an_allowed_host_any_address() -> None:
    policy = EgressPolicy.parse("10.1.0.0/16, fd00::/8\n127.0.0.1 App.Internal.", "80")
    assert policy.refusal("10.1.2.3", "whatever.example") is None
    assert policy.refusal("10.2.0.1", "whatever.example") is AddressRefusal.PRIVATE
    assert policy.refusal("fd12::1", "whatever.example") is None
    assert policy.refusal("127.0.0.1", "x.example") is None
    assert policy.refusal("127.0.0.2", "x.example") is AddressRefusal.LOOPBACK
    assert policy.refusal("192.168.0.1", "app.internal") is None
    assert policy.refusal("192.168.0.1", "sub.app.internal") is AddressRefusal.PRIVATE
    assert policy.refusal("::ffff:10.1.2.3", "whatever.example") is AddressRefusal.EMBEDDED_IPV4
    assert policy.refusal("nonsense", "whatever.example") is AddressRefusal.NOT_AN_ADDRESS


@pytest.mark.parametrize(
    ("allow", "ports", "says"),
    [
        ("10.0.0.1/8", "80", "10.0.0.0/8"),
        ("10.0.0.0/33", "80", "prefix length"),
        ("http://app", "80", "host name"),
        ("*.internal", "80", "wildcard"),
        ("app:8080", "80", "port"),
        ("127.1", "80", "host name"),
        ("app/x", "80", "host name"),
        ("", "", "80,443"),
        ("", "0", "65535"),
        ("", "80;443", "80,443"),
        ("", "65536", "65535"),
        ("", "80,*", "* for all"),
        ("", "http", "80,443"),
    ],
)
def test_a_wrong_setting_is_refused_with_a_correct_example(allow: str, ports: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"right|write|neither") as refused:
        EgressPolicy.parse(allow, ports)
    assert says in str(refused.value)
