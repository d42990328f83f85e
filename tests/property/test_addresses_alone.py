"""A single address is read as the network of that one address, and a mistake is worded as it always was."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudsync.model.address import AddressSet

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


def taken(read: Callable[[str], AddressSet], text: str) -> AddressSet | str:
    """Return the set, or in which words it is refused."""
    try:
        return read(text)
    except ValueError as error:
        return str(error)


@given(ADDRESSES)
def test_an_address_is_the_network_of_that_address(address: IPv4Address | IPv6Address) -> None:
    whole = AddressSet.of(ip_network(address))
    assert AddressSet.of(address) == AddressSet.of(str(address)) == whole
    assert whole.cidrs() == (str(ip_network(address)),)


@given(st.one_of(st.text(max_size=12), st.from_regex(r"\A[0-9]{0,4}(\.[0-9]{0,4}){2,4}(/[0-9]{1,2})?\Z")))
def test_text_is_taken_or_refused_as_a_network_would_be(text: str) -> None:
    assert taken(AddressSet.of, text) == taken(lambda one: AddressSet.of(ip_network(one)), text)


@pytest.mark.parametrize("text", ["0.0.0.0", "255.255.255.255", "010.0.0.1", "10.0.0.1 ", "10.0.0", "1", "::ffff:10.0.0.1"])
def test_edges(text: str) -> None:
    try:
        wanted: AddressSet | None = AddressSet.of(ip_network(ip_address(text)))
    except ValueError:
        wanted = None
    if wanted is None:
        with pytest.raises(ValueError, match="does not appear"):
            AddressSet.of(text)
    else:
        assert AddressSet.of(text) == wanted
