"""Bans hold for every protocol: connections of a banned address are closed, and new ones refused."""
import socket
import struct

from harness import Versioned
from harness.websocket import CLOSE, WebSocket

LISTEN = ("tracker=127.0.0.1:0", "web=127.0.0.1:0", "sync=127.0.0.1:0")
BANNED, OTHER = "127.0.1.1", "127.0.2.1"


def is_refused(frontend, source):
    try:
        return frontend.http("/healthz", source=source)[0] != 200
    except OSError:
        return True


def test_a_ban_closes_and_refuses_all_protocols(t):
    redis = t.redis()
    frontends = t.frontends(2, redis, listen=LISTEN, settings={"lobby.bans_reread": "200ms"})
    tracker = t.connect(frontends[0], Versioned, source=BANNED)
    tracker.open(b"state")
    stays = t.connect(frontends[1], Versioned, source=OTHER)
    stays.open(b"state")
    sync = WebSocket(socket.create_connection(frontends[1].address("sync"), source_address=(BANNED, 0)), "/")
    t.stack.callback(sync.drop)
    t.ctl(redis, "ban", BANNED, "--for", "4s")
    assert tracker.closed()
    frame = sync.read_frame()
    while frame.opcode != CLOSE:  # what the map had to say before
        frame = sync.read_frame()
    assert frame.payload == struct.pack(">H", 1008) + b"banned", frame
    for frontend in frontends:
        t.wait_until(lambda: is_refused(frontend, BANNED), what="newcomers are refused")
        assert not is_refused(frontend, OTHER)
        assert frontend.metric("tracker_connections_refused_total", reason="banned") >= 1
    assert stays.update(stays.id, 1, b"still here")
    for frontend in frontends:
        t.wait_until(lambda: not is_refused(frontend, BANNED), what="the ban's time is over")


def test_a_kicked_client_can_be_kept_away(t):
    redis = t.redis()
    a, b = t.frontends(2, redis, listen=LISTEN)
    client = t.connect(a, Versioned, source=BANNED)
    id = client.open(b"state")
    done = t.ctl(redis, "kick", id.decode(), "--for", "10m")
    assert f"{BANNED} is banned" in done.stdout, done
    assert client.closed()
    for frontend in (a, b):
        t.wait_until(lambda: is_refused(frontend, BANNED), what="it is refused")
    missing = t.ctl(redis, "kick", "nobody", "--for", "10m", check=False)
    assert missing.returncode == 1 and "no such entry" in missing.stderr, missing
