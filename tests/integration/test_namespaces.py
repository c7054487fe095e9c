"""The hosts that tests with lost packets are made of."""
import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import time

from harness.namespaces import Network, NotPermitted
from harness.process import run
from harness.waiting import readable, scaled, wait_until


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
        with a:
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


def test_a_host_that_was_rebooted_knows_no_connection(t):
    network = t.network()
    a, b = network.host("a"), network.host("b")
    with serve(b) as server, connect(a, b) as client, server.accept()[0] as session:
        network.drop(b)
        # It belongs to the host that was; what it sends is lost.
        session.close()
        b.reboot()
        network.restore(b)
        assert not readable(client, 0)
        client.sendall(b"x")
        assert readable(client, scaled(10))
        try:
            raise AssertionError(f"{client.recv(1)} instead of a reset")
        except ConnectionResetError:
            pass
    with serve(b), connect(a, b):
        pass


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


def test_packets_of_one_way_are_dropped(t):
    """What is sent arrives, and its answer does not."""
    network = t.network()
    a, b = network.host("a"), network.host("b")
    with serve(b) as server, connect(a, b) as client, server.accept()[0] as session:
        network.drop(b, a, answers=False)
        client.sendall(b"there")
        assert readable(session, scaled(10)) and session.recv(5) == b"there"
        session.sendall(b"back")
        assert not readable(client, 1)
        network.restore(b, a, answers=False)
        assert readable(client, scaled(10)) and client.recv(4) == b"back"


def test_bandwidth(t):
    network = t.network()
    a, b = network.host("a"), network.host("b")
    with serve(b) as server, connect(a, b) as client, server.accept()[0] as session:
        network.limit(b, "800kbit")
        client.settimeout(0)
        began, left = time.monotonic(), 150000
        while left > 0:
            with contextlib.suppress(BlockingIOError):
                client.send(bytes(4096))
            if readable(session, scaled(10)):
                left -= len(session.recv(1 << 16))
        assert time.monotonic() - began > 1, time.monotonic() - began
        network.limit(b, None)


def test_a_small_disk(t):
    network = t.network()
    directory = t.directory()
    network.disk(directory, 65536)
    with open(os.path.join(directory, "file"), "wb", buffering=0) as file:
        assert file.write(bytes(1 << 20)) == 65536
        try:
            file.write(b"more")
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
        else:
            raise AssertionError("it has room")


def test_names(t):
    network = t.network()
    for host in (network.host("a"), network.host("b")):
        address = host.address
        network.resolve(redis=address)
        assert run(["getent", "ahostsv4", "redis"]).stdout.split()[0] == address


KILLED = """
import os, sys, time
sys.path.insert(0, {path!r})
from harness.context import Context
with Context({build!r}) as t:
    network = t.network()
    with network.host("a"):
        child = t.start("sleeper", ["sleep", "60"])
    print(child.pid, os.stat("/proc/self/ns/net").st_ino, os.stat(f"/proc/{{child.pid}}/ns/net").st_ino, flush=True)
    time.sleep(60)
"""


def test_nothing_is_left_of_a_killed_process(t):
    """What runs on its hosts ends with it, and nothing holds its namespaces then."""
    child = subprocess.Popen([sys.executable, "-c", KILLED.format(path=t.path("tests"), build=t.build)],
                             stdout=subprocess.PIPE, text=True, start_new_session=True)
    sleeper, *places = map(int, child.stdout.readline().split())
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()

    def remaining():
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{pid}/ns/net").st_ino in places:
                    found.append(pid)
        return found
    wait_until(lambda: not remaining() and not is_running(sleeper), 10, lambda: f"they end: {remaining()}")


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return ") Z " not in file.read()
    except OSError:
        return False
