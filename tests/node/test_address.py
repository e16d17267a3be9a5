from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pwire.node.address import Endpoint, Scope, endpoints_of, scope_of
from p2pwire.wire.messages import Address
from p2pwire.wire.registry import BLOCKED_PORTS, AddressType
from tests.node.peers import at

IP = st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))


@pytest.mark.parametrize(
    ("host", "scope"),
    [
        ("127.0.0.1", Scope.LOOPBACK),
        ("127.255.255.255", Scope.LOOPBACK),
        ("::1", Scope.LOOPBACK),
        ("10.0.0.0", Scope.PRIVATE),
        ("100.64.0.0", Scope.PRIVATE),
        ("100.127.255.255", Scope.PRIVATE),
        ("172.16.0.0", Scope.PRIVATE),
        ("172.31.255.255", Scope.PRIVATE),
        ("192.168.255.255", Scope.PRIVATE),
        ("fc00::", Scope.PRIVATE),
        ("fdff:ffff::1", Scope.PRIVATE),
        ("1.0.0.0", Scope.GLOBAL),
        ("8.8.8.8", Scope.GLOBAL),
        ("100.63.255.255", Scope.GLOBAL),
        ("100.128.0.0", Scope.GLOBAL),
        ("172.15.255.255", Scope.GLOBAL),
        ("172.32.0.0", Scope.GLOBAL),
        ("223.255.255.255", Scope.GLOBAL),
        ("2001:200::", Scope.GLOBAL),
        ("2600::1", Scope.GLOBAL),
        ("3fff:1000::", Scope.GLOBAL),
        ("0.0.0.0", Scope.NEVER),
        ("0.255.255.255", Scope.NEVER),
        ("169.254.169.254", Scope.NEVER),
        ("192.0.0.1", Scope.NEVER),
        ("192.0.2.1", Scope.NEVER),
        ("192.88.99.1", Scope.NEVER),
        ("198.18.0.0", Scope.NEVER),
        ("198.19.255.255", Scope.NEVER),
        ("198.51.100.7", Scope.NEVER),
        ("203.0.113.255", Scope.NEVER),
        ("224.0.0.1", Scope.NEVER),
        ("240.0.0.1", Scope.NEVER),
        ("255.255.255.255", Scope.NEVER),
        ("::", Scope.NEVER),
        ("::2", Scope.NEVER),
        ("64:ff9b::1.2.3.4", Scope.NEVER),
        ("100::1", Scope.NEVER),
        ("2001::1", Scope.NEVER),
        ("2001:1ff:ffff::", Scope.NEVER),
        ("2001:db8::1", Scope.NEVER),
        ("2002:808:808::1", Scope.NEVER),
        ("3fff:fff::1", Scope.NEVER),
        ("4000::1", Scope.NEVER),
        ("fbff::1", Scope.NEVER),
        ("fe80::1", Scope.NEVER),
        ("fec0::1", Scope.NEVER),
        ("ff02::1", Scope.NEVER),
    ],
)
def test_scopes_at_the_borders_of_the_ranges(host: str, scope: Scope) -> None:
    assert Endpoint.parse(host, 4000).scope is scope


@given(IP)
def test_global_is_never_more_than_the_standard_library_takes_for_global(ip: bytes) -> None:
    address = ip_address(ip)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    scope = scope_of(ip)
    assert scope is not Scope.GLOBAL or (address.is_global and not address.is_multicast)
    assert (scope is Scope.LOOPBACK) == address.is_loopback


@given(IP, st.integers(0, 65535))
def test_text_and_wire_form_lead_back(ip: bytes, port: int) -> None:
    endpoint = Endpoint(ip, port)
    assert Endpoint.parse(endpoint.host, port) == endpoint
    assert Endpoint.from_address(endpoint.to_address()) == endpoint
    assert at(str(endpoint)) == endpoint
    assert hash(at(str(endpoint))) == hash(endpoint)


def test_a_mapped_address_is_the_ipv4_address_in_it_but_no_address_of_a_record() -> None:
    mapped = Endpoint.parse("::ffff:127.0.0.1", 80)
    assert mapped == at("127.0.0.1:80")
    assert mapped.scope is Scope.LOOPBACK
    assert scope_of(IPv6Address("::ffff:10.0.0.1").packed) is Scope.PRIVATE
    raw = IPv6Address("::ffff:8.8.8.8").packed + b"\x10\x00"
    assert Endpoint.from_address(Address(AddressType.TCP6, raw)) is None


def test_groups() -> None:
    assert at("1.2.3.4:5").group == bytes([1, 2])
    assert at("1.2.3.4:5").handshake_group == bytes([1, 2, 3])
    assert at("[2600:1:2:3::4]:5").group == bytes.fromhex("26000001")
    assert at("[2600:1:2:3::4]:5").handshake_group == bytes.fromhex("260000010002")


def test_a_zone_is_kept_for_dialling() -> None:
    endpoint = Endpoint.parse("fe80::1%eth0", 80)
    assert endpoint.host == "fe80::1%eth0"
    assert str(endpoint) == "[fe80::1%eth0]:80"
    assert not endpoint.dialable(Scope.LOOPBACK)


@pytest.mark.parametrize(
    ("host", "port", "field"),
    [("localhost", 1, "host"), ("1.2.3", 1, "host"), ("", 1, "host"), ("::1", 65536, "port"), ("::1", -1, "port")],
)
def test_what_is_no_endpoint_is_refused_by_name(host: str, port: int, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        Endpoint.parse(host, port)


def test_an_ip_has_4_or_16_bytes() -> None:
    with pytest.raises(ValueError, match="5 bytes"):
        Endpoint(bytes(5), 1)


@pytest.mark.parametrize(
    ("address", "reaches"),
    [
        ("8.8.8.8:4000", {Scope.NEVER, Scope.GLOBAL, Scope.PRIVATE, Scope.LOOPBACK}),
        ("10.1.2.3:4000", {Scope.PRIVATE, Scope.LOOPBACK}),
        ("127.0.0.1:4000", {Scope.LOOPBACK}),
        ("[::1]:4000", {Scope.LOOPBACK}),
        ("169.254.169.254:4000", set()),
        ("0.0.0.0:4000", set()),
        ("8.8.8.8:0", set()),
    ],
)
def test_a_record_leads_no_further_home_than_the_link_that_brought_it(address: str, reaches: set[Scope]) -> None:
    assert {reach for reach in Scope if at(address).dialable(reach)} == reaches


def test_ports_of_other_services_are_not_dialled_from_a_record() -> None:
    ip = IPv4Address("8.8.8.8").packed
    blocked = {port for port in range(65536) if not Endpoint(ip, port).dialable(Scope.GLOBAL)}
    assert blocked == {0} | BLOCKED_PORTS
    assert {22, 25, 53, 6000, 6667, 10080} <= blocked
    assert not {80, 443, 4000, 8080} & blocked


def test_only_addresses_of_tcp_are_endpoints() -> None:
    addresses = [
        Address(AddressType.RELAY, bytes(32)),
        Address(200, b"?"),
        at("8.8.8.8:4000").to_address(),
        at("[2600::1]:4000").to_address(),
    ]
    assert endpoints_of(addresses) == (at("8.8.8.8:4000"), at("[2600::1]:4000"))
