"""Front-ends that are masters, and their peers, for one test."""
from .q3master import FAMILIES, MASTER_SETTINGS, GameServer, Player


class Masters:
    """count front-ends on one Redis. family: "ipv4", "ipv6", or "both" (one port for both)."""

    def __init__(self, t, family="ipv4", count=1, settings=None, redis=None, listen=(), workers=None):
        self.t = t
        self.family = family
        self.redis = redis or t.redis()
        ports = FAMILIES.get(family, ("q3master=*:0", "web=127.0.0.1:0"))
        self.frontends = t.frontends(count, self.redis, listen=(*ports, *listen),
                                     workers=workers, settings={**MASTER_SETTINGS, **(settings or {})})

    def address(self, index=0, family=None):
        host, port = self.frontends[index].address("q3master")
        if host == "*":
            host = "::1" if family == "ipv6" else "127.0.0.1"
        return host, port

    def _peer(self, kind, index, family, **options):
        peer = kind(self.address(index, family), **options)
        self.t.stack.callback(peer.close)
        return peer

    def server(self, index=0, family=None, **options):
        return self._peer(GameServer, index, family, **options)

    def player(self, index=0, family=None, **options):
        return self._peer(Player, index, family, **options)

    def question(self, rest="Xonotic 3 empty full"):
        return f"getservers {rest}" if self.family == "ipv4" else f"getserversExt {rest}"

    def expect(self, servers, rest="Xonotic 3 empty full", index=0, timeout=10):
        """These servers and no others become listed."""
        self.player(index).wait_for(self.question(rest), [one.where for one in servers], timeout)

    def metric(self, name, index=0, **labels):
        return self.frontends[index].metric(f"tracker_{name}", **labels)

    def expect_count(self, name, value=1, index=0, **labels):
        """A counter reaches the value, and does not pass it."""
        self.t.wait_until(lambda: self.metric(name, index, **labels) >= value, 10,
                          lambda: f"{name}{labels}: {self.metric(name, index, **labels)}")
        assert self.metric(name, index, **labels) == value

    def expect_refused(self, game, name, rest="Xonotic 3 empty full", **labels):
        """What was sent last was counted there, and nothing of it is listed: another server that
        registers after it is, alone."""
        self.expect_count(name, 1, **labels)
        other = self.server()
        other.register()
        self.expect([other])
        assert game.where not in (self.player().servers(self.question(rest)) or [])
