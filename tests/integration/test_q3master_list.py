"""The master: who registers is listed, on every front-end, as long as it is there."""
from harness.q3master import FAMILIES, MASTER_SETTINGS, GameServer, Player


def masters(t, listen, count=2, **settings):
    redis = t.redis()
    return (redis, *t.frontends(count, redis, listen=listen, settings={**MASTER_SETTINGS, **settings}))


def server(t, master, **options):
    peer = GameServer(master.address("q3master"), **options)
    t.stack.callback(peer.close)
    return peer


def player(t, master, **options):
    peer = Player(master.address("q3master"), **options)
    t.stack.callback(peer.close)
    return peer


def question(family, rest="Xonotic 3 empty full"):
    return f"getservers {rest}" if family == "ipv4" else f"getserversExt {rest}"


def test_a_server_is_listed_by_both(t):
    for family, listen in FAMILIES.items():
        redis, a, b = masters(t, listen)
        game = server(t, a)
        game.register()
        for one in (a, b):
            player(t, one).wait_for(question(family), [game.where])
        key = f"tracker:{{lobby/1/0}}:client:{game.where}"
        assert redis("HGET", key, "p:hostname") == b'"a server"'
        assert redis("HGET", key, "p:gamename") == b'"Xonotic"'
        assert redis("HGET", key, "protocol") == b"q3master"
        assert redis("HEXISTS", key, "p:challenge") == 0
        t.ctl(redis, "--space", "lobby", "fsck")
