"""The guard that keeps tests off the network really does."""

import socket

import pytest

from tests.conftest import OutsideNetworkError, leads_outside


def test_a_socket_cannot_leave_the_machine() -> None:
    with socket.socket() as client, pytest.raises(OutsideNetworkError, match="loopback only"):
        client.connect(("192.0.2.1", 9))


def test_loopback_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


@pytest.mark.parametrize(
    ("address", "outside"),
    [(("127.0.0.1", 1), False), (("::1", 1, 0, 0), False), (("localhost", 1), False), ("a-unix-socket", False), (("192.0.2.1", 1), True),
     (("169.254.169.254", 80), True), (("example.com", 443), True)],
)  # fmt: skip
def test_which_addresses_lead_outside(address: object, *, outside: bool) -> None:
    assert leads_outside(address) is outside
