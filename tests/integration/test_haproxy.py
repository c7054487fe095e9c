"""docker/haproxy.cfg, the very file, with Debian's HAProxy before three front-ends on loopback."""
import http.client

from harness import Versioned
from harness.haproxy import behind_haproxy
from harness.jwt import Issuer
from harness.sync import Sync
from harness.websocket import CLOSE, WebSocket, close_payload, wait_for_frame

def test_clients_are_spread_and_share_the_map(t):
    redis = t.redis()
    frontends, proxy = behind_haproxy(t, redis)
    clients = [t.connect(proxy.address("TRACKER_BIND"), Versioned, source=f"127.0.0.{10 + index}")
               for index in range(9)]
    ids = {client.open(b"%d" % index): b"%d" % index for index, client in enumerate(clients)}
    for client in clients:
        client.wait_for_map(lambda states: len(ids.items() & states.items()) >= len(ids) - 1)
    # The map knows where they come from, not the proxy's address.
    for index, client in enumerate(clients):
        address = redis("HGET", b"tracker:{main/1/0}:client:" + client.id, "address")
        assert address.startswith(b"127.0.0.%d:" % (10 + index)), address
    owned = [frontend.metric("tracker_owned_entries") for frontend in frontends]
    assert sum(owned) == 9 and min(owned) >= 2, owned
    connection = http.client.HTTPConnection(*proxy.address("WEB_BIND"), timeout=10)
    connection.request("GET", "/readyz")
    assert connection.getresponse().status == 200
    connection.close()
    t.fsck(redis)


def test_metadata_sync_through_it(t):
    redis = t.redis()
    frontends, proxy = behind_haproxy(t, redis)
    clients = [t.connect(proxy.address("SYNC_BIND"), Sync, path="/") for _ in range(6)]
    clients.append(t.connect(proxy.address("WEB_BIND"), Sync))
    for client in clients:
        client.wait_map({other.token: {} for other in clients})
    clients[0].send(clients[5].token, {"type": "hello"})
    clients[5].wait_packet()
    owned = [frontend.metric("tracker_owned_entries") for frontend in frontends]
    assert sum(owned) == 7 and min(owned) >= 2, owned
    t.fsck(redis)


def test_a_draining_frontend_gets_no_new_clients(t):
    redis = t.redis()
    frontends, proxy = behind_haproxy(t, redis)
    watcher = t.connect(proxy.address("TRACKER_BIND"), Versioned)
    watcher.open(b"w")
    frontends[0].stop()
    proxy.wait_for_state("tracker/a", "DOWN")
    for index in range(6):
        t.connect(proxy.address("TRACKER_BIND"), Versioned).open(b"%d" % index)
    assert sum(frontend.metric("tracker_owned_entries") for frontend in frontends[1:]) >= 6


def test_a_killed_frontends_clients_come_back_through_another(t):
    redis = t.redis()
    frontends, proxy = behind_haproxy(t, redis)
    clients = [t.connect(proxy.address("TRACKER_BIND"), Versioned) for _ in range(6)]
    for client in clients:
        client.open(b"before")
    frontends[0].kill()
    lost = [client for client in clients if client.closed(0.5)]
    assert 0 < len(lost) < len(clients), len(lost)
    proxy.wait_for_state("tracker/a", "DOWN")
    for client in lost:
        again = t.connect(proxy.address("TRACKER_BIND"), Versioned)
        assert again.update(client.id, 1, b"after")
        assert redis("HGET", b"tracker:{main/1/0}:client:" + client.id, "state") == b"after"
    t.fsck(redis)


def test_the_log_has_no_tokens(t):
    issuer = Issuer()
    _, proxy = behind_haproxy(t, t.redis(), settings=issuer.settings())
    token = issuer.token()
    websocket = WebSocket(proxy.address("WEB_BIND"), f"/tracker/main?token={token}")
    websocket.send_frame(CLOSE, close_payload(1000))
    wait_for_frame(websocket, CLOSE)
    websocket.drop()
    assert "GET /tracker/main HTTP/1.1" in proxy.process.wait_for_log("/tracker/main")
    assert token[:20] not in proxy.process.log and "token=" not in proxy.process.log
