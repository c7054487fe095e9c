"""Front-ends whose packets to and from Redis are dropped, not refused. With map.cut_off = peers one that Redis
does not answer, while it answers others, sends its clients to these in time; in all other cases they are kept.
"""
import calendar
import select
import time

from harness import Versioned
from harness.faults import key, node_id
from harness.lobby import PASSWORD, Game, Player
from harness.process import logfmt
from harness.sync import Sync
from harness.turntable import Turntable
from harness.waiting import check_in_time, scaled, stolen
from harness.websocket import CLOSE, close_payload, over_websocket, wait_for_frame

# The listeners of each front-end; the web listener is what the others ask.
PORTS = {"tracker": 6789, "web": 8080, "sync": 13372, "lobby-servers": 7001, "lobby-clients": 7002}
SETTINGS = {"map.recovery_grace": "0s", "drain.time": "2s", "lobby.password": PASSWORD, "lobby.max_per_ip": "0",
            "lobby.verify": "off", "sync.tick": "100ms"}
# From the loss of Redis until an entry whose client does not return is closed: map.lease, client.grace.
LEASE, GRACE = 3, 5


class Place:
    """Redis, front-ends and clients, each on a host of its own."""

    def __init__(self, t, count=3, cut_off="peers", advertise=lambda host: f"{host.address}:8080", name=None,
                 of_a=None, **settings):
        self.t = t
        self.name, self.of_a = name, of_a or {}
        self.network = t.network()
        self.redis_host, self.clients = self.network.host("redis"), self.network.host("clients")
        self.hosts = [self.network.host(chr(97 + index)) for index in range(count)]
        with self.redis_host:
            self.redis = t.redis(tcp=self.redis_host.address)
        if name:
            self.resolve(self.redis_host)
        self.settings = {**SETTINGS, "map.cut_off": cut_off, **settings}
        self.advertise = advertise
        self.frontends = [self.start(host) for host in self.hosts]
        for frontend in self.frontends:
            frontend.wait_ready()

    def start(self, host):
        more = {"node.advertise": self.advertise(host)} if self.settings["map.cut_off"] == "peers" else {}
        if host.name == "a":
            more.update(self.of_a)
        with host:
            url = f"redis://{self.name}:{self.redis.port}" if self.name else self.redis
            return self.t.frontend(url, node=host.name, wait=False, settings={**self.settings, **more},
                                   listen=[f"{kind}={host.address}:{port}" for kind, port in PORTS.items()])

    def resolve(self, redis_host):
        """Names of front-ends' hosts, and of Redis's; None: nothing is found."""
        hosts = {f"host-{host.name}": host.address for host in self.hosts} if redis_host else {}
        self.network.resolve(**({self.name: redis_host.address} if redis_host else {}), **hosts)

    def drop(self, *hosts):
        """Nothing passes between Redis and these any more."""
        for host in hosts:
            self.network.drop(host, self.redis_host)
        return time.monotonic()

    def restore(self, *hosts):
        for host in hosts:
            self.network.restore(host, self.redis_host)

    def connect(self, frontend, dialect=Versioned, **options):
        with self.clients:
            return self.t.connect(frontend, dialect, **options)

    def ready(self, frontend):
        with self.clients:
            return frontend.ready()

    def http(self, frontend, path):
        with self.clients:
            status, _, body = frontend.http(path)
        return status, body.decode()

    def epoch(self):
        return self.redis("HGET", "tracker:{main/1/0}:head", "epoch").decode()

    def age(self, frontend, epoch=None):
        """How long ago Redis last answered it, ms. epoch: where Redis cannot be asked for it."""
        epoch = epoch or self.epoch()
        return int(self.http(frontend, f"/redisz?epoch={epoch}")[1].split()[1])

    def metric(self, frontend, name, **labels):
        with self.clients:
            return frontend.metric(name, **labels)

    def wait_for_metric(self, frontend, name, least, timeout=20):
        with self.clients:
            return frontend.wait_for_metric(name, least, timeout)

    def renewed(self, frontend):
        """When Redis last renewed its lease, by Redis's clock, which is the machine's."""
        return int(self.redis("ZSCORE", key("nodes"), node_id(frontend))) / 1000 - LEASE

    @staticmethod
    def stays_open(clients, seconds):
        """The front-end ends none of them in that time; what it sends is left unread."""
        poll = select.poll()
        for client in clients:
            poll.register(client.socket, select.POLLRDHUP)
        assert not poll.poll(seconds * 1000), "one was closed"


def logged_at(line):
    """By the same clock."""
    text = logfmt(line)["ts"]
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) + float(text[19:].rstrip("Z"))


def test_when_the_one_that_is_cut_off_acts(t):
    """In seconds from the last time that Redis answered it, with the standard settings."""
    place = Place(t, **{"drain.time": "5s"})
    a = place.frontends[0]

    def attempt():
        place.wait_for_metric(a, "tracker_peers", 2)
        clients = [place.connect(a) for _ in range(8)]
        for client in clients:
            client.open(b"x")
        position = a.process.log_position()
        since = place.drop(place.hosts[0])
        renewed = place.renewed(a)
        asks = logged_at(a.wait_for_log(r"msg=redis_unreachable", 20, position))
        closes = logged_at(a.wait_for_log(r"msg=cut_off\b", 20, position))
        for client in clients:
            assert client.closed(20)
        closed = time.time() - stolen(since)
        place.restore(place.hosts[0])
        t.wait_until(lambda: place.ready(a), 20, "it is ready again")
        return {"asks": (asks - renewed, 2.2, 3.5), "closes": (closes - renewed, 3.2, 6.8),
                "closed": (closed - renewed, 3.2, 7 + 0.1)}
    check_in_time(attempt)


def test_clients_of_the_one_that_is_cut_off_return_elsewhere_unreported(t):
    place = Place(t)
    a, b, _ = place.frontends
    place.wait_for_metric(a, "tracker_peers", 2)
    events = t.events(place.redis)
    tcp = [place.connect(a) for _ in range(5)]
    for number, client in enumerate(tcp):
        client.open(b"tcp %d" % number)
    stream = place.connect(a, over_websocket(Versioned), kind="web")
    stream.open(b"websocket")
    watcher = place.connect(b, Turntable, kind="web", user="1:1")
    user = place.connect(a, Turntable, kind="web", user="1:2")
    watcher.subscribe("1:2")
    watcher.wait_statuses({"1:2": "online"})
    sync = place.connect(a, Sync, kind="sync", resume=True)
    player = place.connect(b, Player, kind="lobby-clients")
    player.login()
    game = place.connect(a, Game, kind="lobby-servers", source=place.clients.address).be_listed(players=1)
    player.wait_for(lambda servers: game.id in servers)
    since = place.drop(place.hosts[0])

    # WebSocket clients read the code; each returns as soon as it is closed.
    assert user.read_end(20) == (1013, "cut_off"), user.closed
    user = place.connect(b, Turntable, kind="web", user="1:2")
    assert sync.wait_closed(20)[0] == 1013, sync.closed
    sync = place.connect(b, Sync, kind="sync", resume=sync.secret)
    assert wait_for_frame(stream.socket.websocket, CLOSE, 20).payload == close_payload(1013, b"cut_off")
    ids = {client.id: client for client in (*tcp, stream)}
    for client in tcp:
        assert client.closed(20)
    game.refused("unavailable")
    took = time.monotonic() - since
    assert took < scaled(LEASE + GRACE) + stolen(since), f"closed after {took:.1f} s, when others had reported them"
    port = game.port
    game.udp.close()
    place.connect(b, Game, kind="lobby-servers", source=place.clients.address, port=port).be_listed(players=2)
    for id in ids:
        assert place.connect(b).update(id, 1, b"elsewhere"), id
    # Past the time at which whoever had not returned would have been closed. Pings are answered meanwhile.
    end = since + LEASE + GRACE + scaled(2)
    t.wait_until(lambda: [one.pump() for one in (user, watcher, sync)] and time.monotonic() > end, 20)
    received = events.read()
    # The device of turntable's user is another one now, and the user has been there all the time.
    gone = {event.id for event in received if event.op == "close"}
    assert not gone & {*ids, sync.token.encode(), game.id.encode()} and len(gone) <= 1, gone
    assert {event.id for event in received if event.op == "adopt"} >= set(ids)
    watcher.sync()
    assert "offline" not in [status for status, *_ in watcher.received["1:2"]], watcher.received
    player.wait_for(lambda servers: servers[game.id]["players"] == 2)

    # It lets nobody in, and says why, until it is back.
    assert place.http(a, "/readyz") == (503, "not ready: cut off from Redis\n")
    assert place.http(a, "/readyz?local") == (503, "not ready: cut off from Redis\n")
    assert place.http(a, "/readyz?balancer") == (404, "not ready: cut off from Redis\n")
    assert place.http(a, "/healthz") == (200, "ok\n")
    assert place.connect(a).closed()
    assert place.metric(a, "tracker_cut_off") == 1
    with place.clients:
        a.wait_for_metric("tracker_connections_closed_total", 9, reason="cut_off")
    place.restore(place.hosts[0])
    t.wait_until(lambda: place.ready(a), 20, "it is ready again")
    assert place.connect(a).open(b"new")
    a.wait_for_log(r"msg=cut_off_ended")
    t.fsck(place.redis)
    assert not [event for event in events.read() if event.op == "close" and event.id in ids]


def test_nobody_is_closed_when_no_frontend_reaches_redis(t):
    place = Place(t)
    for frontend in place.frontends:
        place.wait_for_metric(frontend, "tracker_peers", 2)
    clients = [place.connect(frontend) for frontend in place.frontends for _ in range(3)]
    for client in clients:
        client.open(b"x")
    place.drop(*place.hosts)
    for frontend in place.frontends:
        frontend.wait_for_log(r"msg=redis_unreachable")
    place.stays_open(clients, 8)
    for frontend in place.frontends:
        assert place.metric(frontend, "tracker_peer_queries_total", result="answered") > 0
        assert not frontend.log_lines(r"msg=cut_off\b")
    place.restore(*place.hosts)
    for client in clients:
        t.wait_until(lambda client=client: client.update(client.id, 1, b"goes on"), 20)
    t.fsck(place.redis)


def test_nobody_is_closed_when_redis_refuses_connections(t):
    place = Place(t, 2)
    a, _ = place.frontends
    place.wait_for_metric(a, "tracker_peers", 1)
    clients = [place.connect(frontend) for frontend in place.frontends]
    for client in clients:
        client.open(b"x")
    place.redis.kill()
    place.stays_open(clients, 7)
    assert not a.log_lines(r"msg=(redis_unreachable|cut_off)\b")
    with place.redis_host:
        place.redis.start()
    t.wait_until(lambda: place.ready(a), 20)
    t.fsck(place.redis)


def test_nobody_is_closed_when_redis_stalls(t):
    """Its kernel accepts connections."""
    place = Place(t, 2)
    a, _ = place.frontends
    place.wait_for_metric(a, "tracker_peers", 1)
    client = place.connect(a)
    client.open(b"x")
    place.redis.freeze()
    place.stays_open([client], 7)
    place.redis.thaw()
    assert not a.log_lines(r"msg=(redis_unreachable|cut_off)\b")
    t.wait_until(lambda: place.ready(a), 20)
    t.fsck(place.redis)


def test_a_peer_that_was_stopped_is_no_witness(t):
    """It finds in its socket what Redis said before the network failed: one answer, and no second."""
    place = Place(t, 2)
    a, b = place.frontends
    place.wait_for_metric(a, "tracker_peers", 1)
    client = place.connect(a)
    client.open(b"x")
    # A sweep of b waits for Redis, which answers it when b has stopped. It lies in the socket then.
    epoch = place.epoch()
    place.redis.freeze()
    t.wait_until(lambda: place.age(b, epoch) > 1200, 20, "b has swept since")
    b.freeze()
    place.redis.thaw()
    t.wait_until(lambda: place.age(a) < 500, 20, "Redis has done what waited")
    place.drop(*place.hosts)
    a.wait_for_log(r"msg=redis_unreachable")
    b.thaw()
    place.wait_for_metric(a, "tracker_peer_queries_total", 1)
    place.stays_open([client], 8)
    assert not a.log_lines(r"msg=cut_off\b")
    place.restore(*place.hosts)
    t.wait_until(lambda: place.ready(a) and place.ready(b), 20)


def test_clients_are_kept_by_default(t):
    """And reported gone while they are connected, until Redis is reached again: from when lease and grace are over, 8 s
    after the last renewal and so at least 6.9 s after the loss, as sweeps come each 1.1 s at most."""
    place = Place(t, 2, cut_off="keep")
    a, _ = place.frontends
    events = t.events(place.redis)

    def attempt():
        client = place.connect(a)
        id = client.open(b"x")
        since = place.drop(place.hosts[0])
        renewed = place.renewed(a)
        t.wait_until(lambda: events.of(id, "close"), 20, "it is reported gone")
        gone, now = time.monotonic() - since - stolen(since), time.time()
        assert now - renewed > LEASE + GRACE - 0.01, "not before lease and grace are over"
        place.stays_open([client], 1)
        ended = time.monotonic()
        lasted = ended - since
        place.restore(place.hosts[0])
        t.wait_until(lambda: events.of(id)[-1].op == "open", 20, "it is there again")
        there = time.monotonic() - ended - stolen(ended)
        assert client.update(id, 1, b"goes on")
        t.wait_until(lambda: place.ready(a), 20, "it is ready again")
        # redis.connect_timeout of 3 s, a quarter of the loss (redis.backoff_max is more), and a sweep of 1 s.
        return {"gone": (gone, 6.9 - 0.1, 10), "there again": (there, 0, 3 + lasted / 4 + 1)}
    check_in_time(attempt)
    t.fsck(place.redis)


def test_a_peers_answer_is_no_answer_from_oneself(t):
    """Addresses that lead back here, or nowhere, as somebody wrote them into Redis."""
    place = Place(t, 1)
    a, = place.frontends
    wrong = ("0.0.0.0:8080", "[::]:8080", "*:8080", "no address", f"{place.hosts[0].address}:8080", "a:0", "x" * 400)
    leading_here = ("localhost:8080", "127.0.0.1:8080")
    nodes = {f"{number:012x}": where for number, where in enumerate((*wrong, *leading_here))}
    for node, where in nodes.items():
        place.redis("HSET", f"tracker:node:{node}", "name", node, "advertise", where)

    def known():
        """Their leases end, as nobody renews them but this."""
        seconds, _ = place.redis("TIME")
        for node in nodes:
            place.redis("ZADD", "tracker:{main/1/0}:nodes", (int(seconds) + 2) * 1000, node)
        return place.metric(a, "tracker_peers")
    t.wait_until(lambda: known() > 0, 20, "they are read", interval=0.2)
    assert place.metric(a, "tracker_peers") == len(leading_here)
    client = place.connect(a)
    client.open(b"x")
    place.drop(place.hosts[0])
    a.wait_for_log(r"msg=redis_unreachable")
    place.stays_open([client], 6)
    assert not a.log_lines(r"msg=cut_off\b")
    place.restore(place.hosts[0])
    t.wait_until(lambda: place.ready(a), 20)


def test_a_peer_that_restarts_meanwhile_is_a_witness_again(t):
    """By another id, at the same place, of the same map."""
    place = Place(t, 2)
    a, b = place.frontends
    place.wait_for_metric(a, "tracker_peers", 1)
    client = place.connect(a)
    client.open(b"x")
    b.stop()
    place.drop(place.hosts[0])
    b = place.start(place.hosts[1])
    b.wait_ready()
    assert client.closed(20)
    a.wait_for_log(r"msg=cut_off\b")
    place.restore(place.hosts[0])
    t.wait_until(lambda: place.ready(a), 20)
    t.fsck(place.redis)


def test_names_that_are_not_found_either(t):
    """The addresses are those that were found while Redis answered."""
    place = Place(t, 2, advertise=lambda host: f"host-{host.name}:8080", name="the-redis")
    a, _ = place.frontends
    place.wait_for_metric(a, "tracker_peers", 1)
    client = place.connect(a)
    client.open(b"x")
    place.drop(place.hosts[0])
    place.resolve(None)
    assert client.closed(20)
    a.wait_for_log(r"msg=cut_off\b.*served=host-b:8080")
    place.resolve(place.redis_host)
    place.restore(place.hosts[0])
    t.wait_until(lambda: place.ready(a), 20)


def test_a_name_that_leads_to_another_redis_closes_nobody(t):
    """The old one's host is lost, and some front-ends are at the new one sooner than others."""
    place = Place(t, name="the-redis", of_a={"redis.connect_timeout": "7s"}, **{"redis.connect_timeout": "300ms"})
    a, b, c = place.frontends
    for frontend in place.frontends:
        place.wait_for_metric(frontend, "tracker_peers", 2)
    clients = [place.connect(frontend) for frontend in place.frontends]
    for client in clients:
        client.open(b"x")
    other = place.network.host("other")
    with other:
        redis = t.redis(tcp=other.address, port=place.redis.port)
    place.network.drop(place.redis_host)
    # The first goes on trying the old address, the others look the name up soon.
    a.wait_for_log(r"msg=redis_connection_lost.*link=commands")
    for frontend in (b, c):
        frontend.wait_for_log(r"msg=redis_connect_failed.*link=commands")
    place.resolve(other)
    place.stays_open(clients, 6)
    for frontend in place.frontends:
        t.wait_until(lambda frontend=frontend: place.ready(frontend), 40)
        assert not frontend.log_lines(r"msg=cut_off\b")
    for client in clients:
        t.wait_until(lambda client=client: client.update(client.id, 1, b"goes on"), 20)
    t.fsck(redis)


def test_a_new_epoch_meanwhile(t):
    """Redis is restarted while a front-end does not reach it: those that do know the epoch that was before."""
    place = Place(t, 2)
    a, b = place.frontends
    place.wait_for_metric(a, "tracker_peers", 1)
    client = place.connect(a)
    client.open(b"x")
    place.drop(place.hosts[0])
    with place.redis_host:
        place.redis.restart()
    b.wait_for_log(r"msg=new_epoch", since=b.process.log_position())
    assert client.closed(20)
    place.restore(place.hosts[0])
    t.wait_until(lambda: place.ready(a), 20)
    t.fsck(place.redis)


def test_a_loss_that_ends_soon_closes_nobody(t):
    """A second or two, again and again."""
    place = Place(t, 2)
    a, _ = place.frontends
    place.wait_for_metric(a, "tracker_peers", 1)
    client = place.connect(a)
    client.open(b"x")
    for _ in range(3):
        place.drop(place.hosts[0])
        time.sleep(1.2)
        place.restore(place.hosts[0])
        t.wait_until(lambda: place.age(a) < 500, 20, "Redis answers it again", interval=0.05)
    place.stays_open([client], 1)
    assert not a.log_lines(r"msg=cut_off\b")
    t.fsck(place.redis)


def test_a_stranger_learns_nothing(t):
    place = Place(t, 1)
    a, = place.frontends
    epoch = place.redis("HGET", "tracker:{main/1/0}:head", "epoch").decode()
    for query in ("", "?epoch=", "?epoch=0123456789abcdef", f"?epoch={epoch[:15]}"):
        assert place.http(a, f"/redisz{query}") == (404, "not of this map\n"), query
    status, body = place.http(a, f"/redisz?epoch={epoch}")
    node, age = body.split()
    assert status == 200 and len(node) == 12 and 0 <= int(age) < 3000, body
