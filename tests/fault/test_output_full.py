"""A watcher that does not read costs no queue: it gets the newest states when it reads again."""
import random
import socket

from harness import Versioned
from harness.faults import Watcher, check_notified_once, crowd, start, states_of, wait_agreement

SETTINGS = {"net.send_buffer": "16KiB", "tracker.rate": "0", "budget.rate": "0", "budget.address_rate": "0"}


def test_a_watcher_that_does_not_read(t):
    redis, (a, b) = start(t, 2, settings=SETTINGS)
    writers = crowd(t, b, 300)
    asleep, awake = [t.connect(a, Watcher) for _ in range(2)]
    asleep.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for number, watcher in enumerate((asleep, awake)):
        watcher.open(b"watcher%d" % number)
        watcher.wait_for_map(lambda states: set(writers.ids) <= states.keys())

    def states(version):
        return lambda index: b"%d of %d " % (version, index) + b"x" * 150
    version = 0

    def rounds(count):
        nonlocal version
        for _ in range(count):
            version += 1
            assert writers.update_all(version, states(version)) == 300
            last = states(version)
            for index in (0, 299):
                awake.wait_for_state(writers.ids[index], last(index))
    rounds(20)
    # 300 x 180 bytes a round: what is queued for it, and our memory, grow with the entries only.
    memory = a.process.memory()
    most = 0
    for _ in range(8):
        rounds(10)
        most = max(most, a.metric("tracker_output_queued_bytes"))
    assert a.metric("tracker_conflations_total") >= 1
    assert most <= 400 * 1024, most
    assert a.process.memory() - memory <= t.allowed_memory(2 << 20), (memory, a.process.memory())
    # Meanwhile some close too.
    gone, staying = writers.ids[:50], writers.ids[50:]
    for client in writers.clients[:50]:
        client.socket.setblocking(True)
        client.socket.sendall(b"\x2a\x01\x01" + bytes([len(client.id) + 1, len(client.id)]) + client.id)
        assert client.socket.recv(1) == b"\x01"
        client.socket.setblocking(False)
    last = states(version)
    expected = {id: last(index + 50) for index, id in enumerate(staying)}
    expected.update(states_of([asleep, awake]))
    pushes = len(asleep.pushes)
    for watcher in (awake, asleep):
        watcher.wait_closed(gone, 20)
        watcher.wait_for_map(lambda states: states == expected, 20)
        watcher.check_notified_once(gone, 1)
    # Of a hundred rounds it received a few: what the kernel had buffered, and the newest.
    assert len(asleep.pushes) - pushes < 300 * 20, len(asleep.pushes) - pushes
    wait_agreement(t, redis, [a, b], expected)
    t.fsck(redis)
