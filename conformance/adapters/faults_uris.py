"""Faults of the reference in reading and writing URIs."""

from __future__ import annotations

import re
from base64 import b32decode
from collections.abc import Callable
from typing import Any

from p2pwire.content import uri
from p2pwire.node.address import Endpoint, Scope
from p2pwire.node.node import Node

from faults import mutant


def _reads(change: Callable[[str], str]) -> None:
    """Read what this makes of the text."""
    parse = uri.Uri.parse
    uri.Uri.parse = lambda text: parse(change(text))


def _drops(pattern: str) -> None:
    """Do not see pairs like this."""
    _reads(lambda text: re.sub(pattern, "", text))


@mutant
def uri_written_in_upper_case() -> None:
    encode = uri.encode_name
    uri.encode_name = lambda name: encode(name).upper()


@mutant
def uri_written_with_padding() -> None:
    encode = uri.encode_name
    uri.encode_name = lambda name: encode(name) + "===="


def _strict_parse(rule: Callable[[str], bool], field: str) -> None:
    parse = uri.Uri.parse

    def strict(text: str) -> Any:
        if not rule(text):
            raise uri.UriError(field, text, "is not to be")
        return parse(text)

    uri.Uri.parse = strict


@mutant
def uri_in_upper_case_rejected() -> None:
    _strict_parse(lambda text: text.startswith("p2pwire:") and text[8:60] == text[8:60].lower(), "scheme")


@mutant
def uri_oid_read_leniently() -> None:
    uri.is_identity = lambda key: True
    uri.decode_name = lambda text: b32decode((text.upper().rstrip("=").replace("0", "O") + "A" * 52)[:52] + "====")


@mutant
def uri_query_of_any_characters() -> None:
    uri._QUERY = re.compile(r"(?:[^#]|\n)*")


@mutant
def uri_values_not_decoded() -> None:
    uri.unquote_to_bytes = lambda value: value.encode()


@mutant
def uri_values_of_any_bytes() -> None:
    unquote = uri.unquote_to_bytes
    uri.unquote_to_bytes = lambda value: unquote(value).decode("ascii", "ignore").encode() or b"11.80.0.1:7001"


@mutant
def uri_unknown_keys_rejected() -> None:
    _strict_parse(lambda text: not re.search(r"[?&](?!xl=|dn=|pe=|id=|y=|x=|q=)", text), "query")


@mutant
def uri_repeated_keys_accepted() -> None:
    _drops(r"(?<=&)(xl|dn|id)=[^&]*$")


@mutant
def uri_any_address_accepted() -> None:
    _drops(r"pe=(?!11\.80\.0\.1:7001)[^&]*")


@mutant
def uri_any_length_accepted() -> None:
    _drops(r"xl=(?!0$|70368744177664$|49152$|49153$|%)[^&]*")


@mutant
def uri_any_name_accepted() -> None:
    uri.check_name = lambda name: None


@mutant
def uri_of_any_size_accepted() -> None:
    uri.MAX_URI = uri.MAX_URI_PEERS = 1 << 20


@mutant
def uri_fragment_accepted() -> None:
    _drops("#.*")


@mutant
def uri_any_identity_accepted() -> None:
    uri.is_identity = lambda key: True


@mutant
def uri_identity_read_leniently() -> None:
    uri.is_identity = lambda key: True
    _reads(lambda text: re.sub(r"(?<=id=)([a-z2-7]*)", lambda found: (found[1] + "a" * 52)[:51] + "a", text))


def _fetches(change: Callable[[dict[str, Any]], None]) -> None:
    fetch = Node.fetch

    def changed(self: Any, oid: bytes, now: float, **given: Any) -> bytes:
        change(given)
        return fetch(self, oid, now, **given)

    Node.fetch = changed


@mutant
def uri_addresses_taken_as_hearsay() -> None:
    def dialable(found: Endpoint) -> bool:
        return found.dialable(Scope.GLOBAL)

    _fetches(lambda given: given.update(peers=[one for one in given.get("peers", ()) if dialable(one)]))


@mutant
def uri_identity_ignored() -> None:
    _fetches(lambda given: given.update(identity=None))


@mutant
def uri_length_ignored() -> None:
    _fetches(lambda given: given.update(length=None))
