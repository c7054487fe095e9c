"""A client becomes idle while its connection stays: it is closed after client.ttl, and everybody is notified once. A
client that answers TCP's probes, or sends something, is active."""
import time

from harness import Versioned, scaled, stolen
from harness.faults import SWEEP, NOTIFY, Watcher, check_notified_once, key, start, wait_know
from harness.sync import Sync
from harness.waiting import readable
from harness.websocket import PING, PONG, over_websocket

TTL = 4
# On the first nobody is asked whether he is still there; on the second everybody is, each second.
LISTEN = ("tracker=127.0.0.1:0,keepalive=0", "tracker=127.0.0.1:0,keepalive=1s,keepalive_interval=1s", "web=127.0.0.1:0")
SETTINGS = {"client.ttl": f"{TTL}s", "client.grace": "1s"}


def watch(t, frontends):
    """Watchers that answer probes."""
    found = [t.connect(frontend, Watcher, index=1) for frontend in frontends]
    for watcher in found:
        watcher.open(b"watcher")
    return found


def pttl(redis, id):
    return redis("PTTL", key("client", id))


def test_it_is_closed_after_the_ttl(t):
    redis, (a, b) = start(t, 2, listen=LISTEN, settings=SETTINGS)
    found = watch(t, [a, b])
    events = t.events(redis)
    client = t.connect(a, Versioned)
    began = time.monotonic()
    id = client.open(b"here")
    wait_know(found, [id])
    # redis-cli shows how long it has left; nobody renews it.
    t.wait_until(lambda: 0 < pttl(redis, id) < 1500, what="its time runs out")
    received = [watcher.wait_closed([id], TTL + SWEEP + NOTIFY + 2) for watcher in found]
    assert min(received) - began >= TTL - 0.1, (began, received)
    assert max(received) - began <= scaled(TTL + SWEEP + NOTIFY + 1) + stolen(began), (began, received)
    assert client.closed(2)
    assert a.metric("tracker_connections_closed_total", reason="silent") == 1
    check_notified_once(found, [id], 2)
    assert [event.op for event in events.of(id)].count("close") == 1, events.of(id)
    t.fsck(redis)


def test_an_active_client_stays(t):
    redis, (a, b) = start(t, 2, listen=LISTEN, settings=SETTINGS)
    found = watch(t, [b])
    quiet = t.connect(a, Versioned, index=1)
    talking = t.connect(a, Versioned)
    ids = [quiet.open(b"answers probes"), talking.open(b"0")]
    wait_know(found, ids)
    least = {id: TTL * 1000 for id in ids}
    end = time.monotonic() + 2.5 * TTL
    version = 0
    while time.monotonic() < end:
        version += 1
        assert talking.update(talking.id, version, b"%d" % version)
        for id in ids:
            least[id] = min(least[id], pttl(redis, id))
        time.sleep(0.2)
    assert min(least.values()) > 0, f"a TTL ran out: {least}"
    check_notified_once(found, [], 0.5)
    t.fsck(redis)


def check_keys_stay(redis, clients, seconds):
    """clients: entry's id to what reads, and so answers pings. Their keys are there all the time, and are never opened anew."""
    since = {id: redis("HGET", key("client", id), "since") for id in clients}
    least = dict.fromkeys(clients, 1 << 30)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for id, read in clients.items():
            read()
            least[id] = min(least[id], pttl(redis, id))
        time.sleep(0.02)
    assert min(least.values()) > 0, f"a key ended: {least}"
    assert {id: redis("HGET", key("client", id), "since") for id in clients} == since


def test_who_only_answers_pings_keeps_its_key(t):
    """Over WebSocket, with the ping interval that follows from client.ttl, also when that becomes shorter at run time."""
    redis, (a, b) = start(t, 2, listen=("tracker=127.0.0.1:0", "web=127.0.0.1:0", "sync=127.0.0.1:0"), settings=SETTINGS)
    watcher = t.connect(b, Watcher)
    watcher.open(b"watcher")
    web = t.connect(a, over_websocket(Versioned), kind="web")

    def answer():
        opened = web.socket.websocket
        while opened.input or readable(opened, 0):
            got = opened.read_frame()
            if got.opcode == PING:
                opened.send_frame(PONG, got.payload)
    sync = Sync(b.address("sync"))
    t.stack.callback(sync.drop)
    sync.barrier()
    clients = {web.open(b"silent"): answer, sync.token.encode(): sync.pump}
    wait_know([watcher], list(clients))
    # TCP's probes follow client.ttl, too.
    check_keys_stay(redis, {**clients, watcher.id: watcher.drain}, 2.5 * TTL)
    check_notified_once([watcher], [], 0.5)
    watcher.close()
    t.ctl(redis, "shared", "set", "client.ttl=2s", "presence.offline_delay=1s")
    t.wait_until(lambda: max(pttl(redis, id) for id in clients) <= 2000, what="the shorter time is in force")
    check_keys_stay(redis, clients, 6)
    t.fsck(redis)
