"""URIs, and the base32 in them."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from p2pwire.content.objects import object_id
from p2pwire.content.uri import Endpoint, Uri, UriError
from p2pwire.wire.keys import decode_name, encode_name, is_identity
from p2pwire.wire.registry import MAX_LENGTH, MAX_URI, MAX_URI_PEERS

KEY = bytes(range(32))
OID = object_id(0, 5, hashlib.sha256(b"hello").digest())
TEXT = "tzsirkwz6nhellgxaxxcjvjerdb3toxccagq7ctzlishjda3d5ba"
HELLO = f"p2pwire:{TEXT}"


def test_the_blob_hello() -> None:
    assert str(Uri(OID)) == HELLO
    assert Uri.parse(HELLO) == Uri(OID)
    assert Uri.parse(HELLO.upper()) == Uri(OID)


@pytest.mark.parametrize(
    ("plain", "text"),
    [
        (b"", ""),
        (b"f", "MY======"),
        (b"fo", "MZXQ===="),
        (b"foo", "MZXW6==="),
        (b"foob", "MZXW6YQ="),
        (b"fooba", "MZXW6YTB"),
        (b"foobar", "MZXW6YTBOI======"),
    ],
)
def test_base32_of_rfc_4648(plain: bytes, text: str) -> None:
    assert encode_name(plain) == text.rstrip("=").lower()


@given(st.binary(min_size=32, max_size=32))
@settings(max_examples=50, derandomize=True)
def test_base32_of_32_bytes(value: bytes) -> None:
    text = encode_name(value)
    assert len(text) == 52
    assert decode_name(text) == decode_name(text.upper()) == value


@pytest.mark.parametrize("last", "bcdefghijklmnop")
def test_only_one_text_means_one_id(last: str) -> None:
    """The last character carries one bit of the value; the other four must be zero."""
    text = TEXT[:-1] + last
    with pytest.raises(UriError, match=r"oid .* must end with 4 zero bits"):
        Uri.parse(f"p2pwire:{text}")


def test_all_that_a_uri_can_say() -> None:
    identity = bytes(range(32))
    uri = Uri(
        OID,
        length=5,
        name="Grüße & Küsse?.txt",
        peers=(Endpoint("192.0.2.1", 4000), Endpoint("2001:db8::1", 65535)),
        identity=identity,
    )
    text = (
        f"{HELLO}?xl=5&dn=Gr%C3%BC%C3%9Fe%20%26%20K%C3%BCsse%3F.txt&pe=192.0.2.1:4000&pe=[2001:db8::1]:65535"
        f"&id={encode_name(identity)}"
    )
    assert str(uri) == text
    assert Uri.parse(text) == uri
    assert uri.peers[0] == ("192.0.2.1", 4000)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", Uri(OID)),
        ("?", Uri(OID)),
        ("?xl=0", Uri(OID, length=0)),
        (f"?xl={MAX_LENGTH}", Uri(OID, length=MAX_LENGTH)),
        ("?zz=1&xl=7&x.y=%20&flag&&", Uri(OID, length=7)),
        ("?zz=1&zz=2", Uri(OID)),
        ("?XL=7", Uri(OID)),
        ("?dn=a+b", Uri(OID, name="a+b")),
        ("?dn=a=b", Uri(OID, name="a=b")),
        ("?dn=%61", Uri(OID, name="a")),
        ("?pe=%5B::1%5D:1", Uri(OID, peers=(Endpoint("::1", 1),))),
        ("?pe=127.0.0.1%3A9", Uri(OID, peers=(Endpoint("127.0.0.1", 9),))),
        ("?pe=[0:0::0001]:80", Uri(OID, peers=(Endpoint("::1", 80),))),
        ("?id=" + encode_name(KEY), Uri(OID, identity=KEY)),
        ("?id=" + encode_name(KEY).upper(), Uri(OID, identity=KEY)),
        ("?dn=..a&xl=1", Uri(OID, name="..a", length=1)),
    ],
)
def test_queries(query: str, expected: Uri) -> None:
    assert Uri.parse(HELLO + query) == expected


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "scheme"),
        (TEXT, "scheme"),
        ("magnet:" + TEXT, "scheme"),
        ("p2pwire//" + TEXT, "scheme"),
        ("p2pwire:", "oid"),
        ("p2pwire://" + TEXT, "oid"),
        ("p2pwire:" + TEXT[:-1], "oid"),
        ("p2pwire:" + TEXT + "a", "oid"),
        ("p2pwire:" + TEXT + "====", "oid"),
        ("p2pwire:1" + TEXT[1:], "oid"),
        ("p2pwire:ſ" + TEXT[1:], "oid"),
        (" " + HELLO, "scheme"),
        (HELLO + " ", "oid"),
        (HELLO + "\n", "oid"),
        (HELLO + "#x", "oid"),
        (HELLO + "&xl=5", "oid"),
        (HELLO + "?xl=5#x", "query"),
        (HELLO + "?dn=a b", "query"),
        (HELLO + "?dn=ü", "query"),
        (HELLO + "?dn=%2", "query"),
        (HELLO + "?dn=%zz", "query"),
        (HELLO + "?zz=\x1b[2J", "query"),
        (HELLO + "?xl=", "xl"),
        (HELLO + "?xl", "xl"),
        (HELLO + "?xl=05", "xl"),
        (HELLO + "?xl=-5", "xl"),
        (HELLO + "?xl=+5", "xl"),
        (HELLO + "?xl=5_0", "xl"),
        (HELLO + "?xl=%D9%A3", "xl"),
        (HELLO + f"?xl={MAX_LENGTH + 1}", "xl"),
        (HELLO + "?xl=" + "9" * 3000, "xl"),
        (HELLO + "?xl=5&xl=5", "xl"),
        (HELLO + "?dn=", "dn"),
        (HELLO + "?dn=a&dn=a", "dn"),
        (HELLO + "?dn=.", "dn"),
        (HELLO + "?dn=..", "dn"),
        (HELLO + "?dn=../x", "dn"),
        (HELLO + "?dn=/etc/passwd", "dn"),
        (HELLO + "?dn=a%2Fb", "dn"),
        (HELLO + "?dn=a%5Cb", "dn"),
        (HELLO + "?dn=a%00b", "dn"),
        (HELLO + "?dn=%1B[2J", "dn"),
        (HELLO + "?dn=%7F", "dn"),
        (HELLO + "?dn=%C2%9B", "dn"),
        (HELLO + "?dn=%0A", "dn"),
        (HELLO + "?dn=%FF", "dn"),
        (HELLO + "?dn=%ED%A0%80", "dn"),
        (HELLO + "?dn=" + "a" * 256, "dn"),
        (HELLO + "?dn=" + "%C3%BC" * 128, "dn"),
        (HELLO + "?pe=", "pe"),
        (HELLO + "?pe=192.0.2.1", "pe"),
        (HELLO + "?pe=192.0.2.1:", "pe"),
        (HELLO + "?pe=192.0.2.1:0", "pe"),
        (HELLO + "?pe=192.0.2.1:080", "pe"),
        (HELLO + "?pe=192.0.2.1:65536", "pe"),
        (HELLO + "?pe=192.0.2.01:80", "pe"),
        (HELLO + "?pe=192.0.2:80", "pe"),
        (HELLO + "?pe=::1:80", "pe"),
        (HELLO + "?pe=[::1]", "pe"),
        (HELLO + "?pe=[::1%25eth0]:80", "pe"),
        (HELLO + "?pe=[192.0.2.1]:80", "pe"),
        (HELLO + "?pe=[::1:80", "pe"),
        (HELLO + "?pe=[1::2::3]:80", "pe"),
        (HELLO + "?pe=example.org:80", "pe"),
        (HELLO + "?pe=%FF", "pe"),
        (HELLO + "?" + "&".join(["pe=192.0.2.1:80"] * (MAX_URI_PEERS + 1)), "pe"),
        (HELLO + "?id=" + "a" * 51, "id"),
        (HELLO + "?id=" + "a" * 51 + "b", "id"),
        (HELLO + "?id=" + "a" * 52 + "&id=" + "a" * 52, "id"),
        (HELLO + "?z=" + "a" * MAX_URI, "uri"),
    ],
)
def test_each_rule_broken_once(text: str, field: str) -> None:
    with pytest.raises(UriError, match=f"^{field} is ") as caught:
        Uri.parse(text)
    assert caught.value.field == field
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"oid": bytes(31)}, "oid"),
        ({"oid": OID, "length": -1}, "xl"),
        ({"oid": OID, "length": MAX_LENGTH + 1}, "xl"),
        ({"oid": OID, "name": "a/b"}, "dn"),
        ({"oid": OID, "name": "\ud800"}, "dn"),
        ({"oid": OID, "peers": (("example.org", 80),)}, "pe"),
        ({"oid": OID, "peers": (("127.0.0.1", 0),)}, "pe"),
        ({"oid": OID, "peers": (("127.0.0.1", 1),) * 33}, "pe"),
        ({"oid": OID, "identity": b""}, "id"),
        ({"oid": OID, "identity": bytes(32)}, "id"),
    ],
)
def test_what_no_uri_can_say(arguments: dict[str, object], field: str) -> None:
    with pytest.raises(UriError) as caught:
        Uri(**arguments)  # type: ignore[arg-type]
    assert caught.value.field == field


def names() -> st.SearchStrategy[str]:
    forbidden = "/\\" + "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)]))
    letters = st.characters(codec="utf-8", exclude_characters=forbidden)
    return st.text(letters, min_size=1, max_size=60).filter(lambda name: name not in (".", ".."))


def endpoints() -> st.SearchStrategy[Endpoint]:
    return st.builds(Endpoint, st.ip_addresses().map(str), st.integers(1, 65535))


@given(
    st.builds(
        Uri,
        st.binary(min_size=32, max_size=32),
        length=st.none() | st.integers(0, MAX_LENGTH),
        name=st.none() | names(),
        peers=st.lists(endpoints(), max_size=MAX_URI_PEERS).map(tuple),
        identity=st.none() | st.binary(min_size=32, max_size=32).filter(is_identity),
    )
)
@example(Uri(OID, MAX_LENGTH, "\u20ac" * 85, (Endpoint("1111:" * 7 + "1111", 65535),) * MAX_URI_PEERS, KEY))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_every_uri_can_be_said_and_read(uri: Uri) -> None:
    text = str(uri)
    assert text.isascii()
    assert len(text) <= MAX_URI // 2 + 512
    assert Uri.parse(text) == uri
    assert str(Uri.parse(text)) == text


@given(st.text(max_size=40))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_query_is_read_or_refused_with_a_reason(query: str) -> None:
    try:
        uri = Uri.parse(f"{HELLO}?{query}")
    except UriError:
        return
    assert Uri.parse(str(uri)) == uri
    assert uri.oid == OID


def test_the_id_is_the_right_to_read_and_not_shown() -> None:
    assert repr(Uri(OID, 5)) == "Uri(length=5, name=None, peers=(), identity=None)"
