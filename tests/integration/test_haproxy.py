"""docker/haproxy.cfg, the very file, with Debian's HAProxy before three front-ends on loopback."""
import http.client
import socket

from harness import Versioned, scaled
from harness.faults import key
from harness.haproxy import behind_haproxy, without
from harness.jwt import Issuer
from harness.sync import Sync
from harness.websocket import CLOSE, Refused, WebSocket, close_payload, wait_for_frame


def get(proxy, bind, path):
    """(status, body)"""
    connection = http.client.HTTPConnection(*proxy.address(bind), timeout=scaled(10))
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


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


def visitor(t, proxy, source):
    """A socket that is connected to the public port from that address."""
    connection = socket.socket()
    t.stack.callback(connection.close)
    connection.settimeout(scaled(10))
    connection.bind((source, 0))
    connection.connect(proxy.address("WEB_BIND"))
    return connection


def test_visitors_addresses_pass_the_public_port(t):
    """Into the map, and also when a connection to HAProxy has been used for something else before."""
    redis = t.redis()
    _, proxy = behind_haproxy(t, redis)
    for index in range(2, 8):
        source = f"127.0.0.{index}"
        connection = visitor(t, proxy, source)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"ok\n"):
            answer += connection.recv(1000)
        client = Sync(connection)
        address = redis("HGET", key("client", client.token.encode()), "address")
        assert address.startswith(source.encode() + b":"), (source, address)


def test_one_visitor_cannot_use_up_the_connections_of_all(t):
    """Each front-end bounds the connections of an address, and that is not HAProxy's."""
    most = 12
    frontends, proxy = behind_haproxy(t, t.redis(), settings={"net.max_per_address": most})
    found = []
    while len(found) <= 3 * most:
        try:
            found.append(WebSocket(visitor(t, proxy, "127.0.0.2"), "/turntable"))
        except Refused as refused:
            assert refused.status == 502, refused
            break
    assert most <= len(found) <= 3 * most, len(found)
    WebSocket(visitor(t, proxy, "127.0.0.3"), "/turntable")
    assert sum(one.metric("tracker_connections_refused_total", reason="address_limit") for one in frontends) > 0


def test_page_api_and_metrics_are_internal(t):
    """The public port has the WebSocket protocols and the health paths, and nothing else."""
    _, proxy = behind_haproxy(t, t.redis())
    for path in ("/", "/page.js", "/tracker.js", "/metrics", "/api/v1/clients", "/api/v1/nodes", "/api/v1/live",
                 "/api/v1/shard?id=x"):
        assert get(proxy, "WEB_BIND", path)[0] == 404, path
        if path != "/api/v1/live":  # which has no end
            assert get(proxy, "INTERNAL_BIND", path)[0] == 200, path
    for bind in ("WEB_BIND", "INTERNAL_BIND"):
        assert get(proxy, bind, "/healthz") == (200, b"ok\n")
        assert get(proxy, bind, "/readyz") == (200, b"ready\n")
    for path in ("/tracker", "/turntable", "/sync"):
        WebSocket(proxy.address("WEB_BIND"), path).drop()


def closed_ports(t):
    """What HAProxy is to take for the ports of front-end a, of which it believes that it is well: nobody
    listens there."""
    def changed(_frontends):
        found = {}
        for name in ("NODE_A_PORT", "NODE_A_PUBLIC_PORT", "NODE_A_SYNC_PORT"):
            taken = socket.socket()
            t.stack.callback(taken.close)
            taken.bind(("127.0.0.1", 0))
            found[name] = str(taken.getsockname()[1])
        return found
    return changed


def test_clients_reach_another_frontend_before_haproxy_knows(t):
    """A front-end is down, and the checks have not noticed: nobody is refused."""
    redis = t.redis()
    _, proxy = behind_haproxy(t, redis, changed=closed_ports(t))
    for index in range(6):
        assert t.connect(proxy.address("TRACKER_BIND"), Versioned).open(b"%d" % index)
        t.connect(proxy.address("SYNC_BIND"), Sync, path="/")
        t.connect(proxy.address("WEB_BIND"), Sync)
        assert get(proxy, "WEB_BIND", "/healthz")[0] == 200
    assert "DOWN" not in proxy.process.log
    # Without the option, a client is refused after three more attempts to reach the same front-end.
    _, proxy = behind_haproxy(t, redis, config=without(t, "option redispatch 1"), changed=closed_ports(t))
    refused = t.connect(proxy.address("TRACKER_BIND"), Versioned)
    assert refused.closed(20) and not refused.input
    assert "DOWN" not in proxy.process.log


def test_upgrades_that_a_draining_frontend_declines_go_to_another(t):
    """Before the checks have noticed."""
    def changed(frontends):
        return {"NODE_A_WEB_PORT": str(frontends[1].address("web")[1])}
    declined = {"name": "tracker_websocket_refused_total", "reason": "draining"}
    for config, wanted in ((None, {101}), (without(t, "retry-on conn-failure 503"), {101, 503})):
        frontends, proxy = behind_haproxy(t, t.redis(), config=config, changed=changed, settings={"drain.time": "1h"})
        t.connect(frontends[0], Versioned, before=b"PROXY UNKNOWN\r\n").open(b"keeps it draining")
        frontends[0].drain()
        frontends[0].wait_for_log("msg=draining")
        found = set()
        for _ in range(6):
            try:
                t.connect(proxy.address("WEB_BIND"), Sync)
                found.add(101)
            except Refused as refused:
                found.add(refused.status)
        assert found == wanted, found
        assert frontends[0].metric(**declined) > 0
        frontends[0].kill()
