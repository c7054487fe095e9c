"""tracker.adopt = tls: a client that comes back with its certificate takes over its entry even while its
old connection seems to live. Who brings another certificate, or none, adopts only what waits."""
import hashlib
import ssl

from harness import Versioned, certificates
from harness.websocket import CLOSE, close_payload, over_websocket, wait_for_frame


def key(id):
    return b"tracker:{main/1/0}:client:" + id


class Setting:
    """Two front-ends whose TLS listeners know two clients' certificates."""

    def __init__(self, t, adopt="tls", **settings):
        self.t = t
        self.redis = t.redis()
        directory = t.directory()
        self.server = certificates.make(directory)
        self.own = {name: certificates.make(directory, name, name) for name in ("one", "two")}
        self.authorities = f"{directory}/authorities.crt"
        with open(self.authorities, "w", encoding="ascii") as file:
            for certificate, _ in self.own.values():
                with open(certificate, encoding="ascii") as one:
                    file.write(one.read())
        tls = (f"tls=true,tls_certificate={self.server[0]},tls_key={self.server[1]},"
               f"tls_client_ca={self.authorities},adopt={adopt}")
        self.a, self.b = t.frontends(2, self.redis, listen=(
            f"tracker=127.0.0.1:0,{tls}", f"tracker=127.0.0.1:0,adopt={adopt}",
            "web=127.0.0.1:0", f"web=127.0.0.1:0,{tls}"), settings={"map.recovery_grace": "0s", **settings})

    def client(self, frontend, name):
        context = certificates.client_context(self.server[0], self.own[name])
        return self.t.connect(frontend, Versioned, tls=context)

    def over_websocket(self, frontend, name):
        context = certificates.client_context(self.server[0], self.own[name])
        return self.t.connect(frontend, over_websocket(Versioned), kind="web", index=1, tls=context)

    def plain(self, frontend):
        return self.t.connect(frontend, Versioned, index=1)

    def fingerprint(self, name):
        with open(self.own[name][0], encoding="ascii") as file:
            return hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest().encode()


def test_the_same_certificate_takes_a_live_entry_over(t):
    """On another front-end, and on the same one; the old connection ends, and nobody else receives more than an
    update."""
    s = Setting(t)
    watcher = s.plain(s.a)
    watcher.open(b"w")
    events = t.events(s.redis)
    first = s.client(s.a, "one")
    id = first.open(b"zero")
    assert s.redis("HGET", key(id), "certificate") == s.fingerprint("one") and len(s.fingerprint("one")) == 64
    second = s.client(s.b, "one")
    assert second.update(id, 1, b"from b")
    assert first.closed()
    third = s.client(s.b, "one")
    assert third.update(id, 2, b"from b again")
    assert second.closed()
    watcher.wait_for_state(id, b"from b again")
    assert third.update(id, 3, b"goes on")
    assert s.redis("HGET", key(id), "state") == b"goes on"
    assert s.redis("HGET", key(id), "certificate") == s.fingerprint("one")
    received = [event.op for event in events.of(id)]
    assert "close" not in received and received.count("adopt") == 2, received
    assert all(b"certificate" not in event.fields for event in events.of(id)), "the certificate stays in Redis"
    assert s.a.metric("tracker_connections_closed_total", reason="taken") == 1
    assert s.b.metric("tracker_connections_closed_total", reason="taken") == 1
    t.fsck(s.redis)


def test_over_websocket_the_old_connection_receives_the_reason(t):
    s = Setting(t)
    first = s.over_websocket(s.a, "one")
    id = first.open(b"zero")
    assert s.client(s.b, "one").update(id, 1, b"over tcp")
    assert wait_for_frame(first.socket.websocket, CLOSE).payload == close_payload(1008, b"taken")
    again = s.over_websocket(s.a, "one")
    assert again.update(id, 2, b"and back")
    t.fsck(s.redis)


def test_another_certificate_or_none_takes_only_orphans(t):
    s = Setting(t)
    owner = s.client(s.a, "one")
    id = owner.open(b"mine")
    for frontend in (s.a, s.b):
        for thief in (s.client(frontend, "two"), s.plain(frontend)):
            assert not thief.update(id, 1, b"stolen")
            assert not thief.close(id)
    assert owner.update(id, 1, b"still mine")
    owner.drop()
    t.wait_until(lambda: s.redis("ZSCORE", "tracker:{main/1/0}:deadlines", b"c:" + id), what="a deadline")
    heir = s.plain(s.b)
    assert heir.update(id, 2, b"adopted")
    # It is not the first one's any more, whatever that one can prove.
    assert s.redis("HGET", key(id), "certificate") is None
    assert not s.client(s.a, "one").update(id, 3, b"back")
    assert heir.update(id, 3, b"kept")
    t.fsck(s.redis)


def test_what_is_stale_parts_nobody_from_an_entry(t):
    s = Setting(t)
    owner = s.client(s.a, "one")
    id = owner.open(b"zero")
    assert owner.update(id, 7, b"seven")
    assert not s.client(s.b, "one").update(id, 7, b"another seven")
    assert owner.update(id, 8, b"eight")
    t.fsck(s.redis)


def test_a_close_by_the_same_certificate(t):
    s = Setting(t)
    first = s.client(s.a, "one")
    id = first.open(b"zero")
    assert s.client(s.b, "one").close(id)
    assert first.closed()
    assert s.redis("EXISTS", key(id)) == 0
    t.fsck(s.redis)


def test_without_the_setting_a_certificate_changes_nothing(t):
    s = Setting(t, adopt="any")
    first = s.client(s.a, "one")
    id = first.open(b"zero")
    assert s.redis("HGET", key(id), "certificate") is None
    assert not s.client(s.b, "one").update(id, 1, b"taken")
    assert first.update(id, 1, b"kept")
    t.fsck(s.redis)


def test_an_entry_that_redis_lost_has_its_certificate_again(t):
    s = Setting(t)
    first = s.client(s.a, "one")
    id = first.open(b"zero")
    s.redis.restart()
    t.wait_until(lambda: s.redis("HGET", key(id), "certificate") == s.fingerprint("one"), 20, "the certificate")
    t.wait_until(s.b.ready, 20, "ready")
    assert s.client(s.b, "one").update(id, 1, b"taken over")
    assert first.closed()
    t.fsck(s.redis)
