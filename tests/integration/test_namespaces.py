"""The hosts that tests with lost packets are made of."""
import contextlib
import socket

from harness.namespaces import Network, NotPermitted
from harness.waiting import readable, scaled


def serve(host):
    with host:
        return socket.create_server((host.address, 7000))


def connect(host, other):
    with host:
        return socket.create_connection((other.address, 7000), timeout=scaled(10))


def test_packets_are_dropped_and_pass_again(t):
    network = t.network()
    a, b = network.host("a"), network.host("b")
    with serve(b) as server, connect(a, b) as client, server.accept()[0] as session:
        assert session.getpeername()[0] == a.address
        network.drop(b)
        client.sendall(b"lost")
        with a, socket.socket() as late:
            late.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                late.connect((b.address, 7000))
            # Neither is answered, and neither gets an error.
            assert not readable(late, 1.5) and not readable(client, 0) and not readable(session, 0)
        network.restore(b)
        assert readable(session, scaled(10)) and session.recv(4) == b"lost"


def test_packets_between_two_hosts(t):
    network = t.network()
    a, b, c = (network.host(name) for name in "abc")
    with serve(c) as server:
        network.drop(a, c)
        with a, socket.socket() as client:
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect((c.address, 7000))
            with connect(b, c), server.accept()[0] as session:
                assert session.getpeername()[0] == b.address
            assert not readable(client, 0)
            network.restore(a, c)
            with server.accept()[0] as session:
                assert session.getpeername()[0] == a.address


def test_where_namespaces_are_not_permitted_the_reason_is_given(t):
    t.network()
    with open("/proc/sys/user/max_user_namespaces", "w", encoding="ascii") as file:
        file.write("0")
    try:
        Network()
    except NotPermitted as error:
        assert "unshare: " in str(error) and "max_user_namespaces" in str(error), error
    else:
        raise AssertionError("a namespace was made")
