"""Banned addresses: by the setting, and by what all front-ends share."""
import re

from harness.lobby import LISTEN, Game, Original, Player, settings


def lobby(t, count=2, **more):
    redis = t.redis()
    return redis, t.frontends(count, redis, listen=LISTEN, settings=settings(**more))


def is_banned(t, frontend, source):
    player = t.connect(frontend, Player, kind="lobby-clients", source=source)
    try:
        player.say(type="login")
        message = player.receive("servers", "error")
    except ConnectionError:
        return True  # the ban came before the first byte, by which its encoding is known
    player.drop()
    assert message["type"] == "servers" or message["code"] == "banned", message
    return message["type"] == "error"


def test_connections_of_a_banned_address_end_on_all_front_ends(t):
    redis, (a, b) = lobby(t)
    game = t.connect(a, Game, kind="lobby-servers", source="127.0.1.1").be_listed()
    guest = t.connect(b, Player, kind="lobby-clients", source="127.0.1.2")
    guest.login()
    player = t.connect(b, Player, kind="lobby-clients", source="127.0.2.1")
    player.login()
    player.wait_for(lambda servers: game.id in servers)
    assert t.ctl(redis, "ban", "127.0.1.77/24").stdout == "127.0.1.0/24 is banned until unban\n"
    game.refused("banned")
    while guest.receive("up", "changed", "down", "error")["type"] != "error":
        pass
    assert guest.closed()
    assert player.change("down")[1]["id"] == game.id
    for frontend in (a, b):
        assert is_banned(t, frontend, "127.0.1.3") and not is_banned(t, frontend, "127.0.2.3")
    again = t.connect(a, Game, kind="lobby-servers", source="127.0.1.1")
    again.say(type="login", passwd="wrong", port=again.port)
    again.refused("banned")
    original = t.connect(a, Original, kind="lobby", source="127.0.1.4")
    original.login_client()
    assert original.closed()


def test_unban_lets_in_again(t):
    redis, (a, b) = lobby(t)
    for frontend in (a, b):
        assert not is_banned(t, frontend, "127.0.1.1")
    t.ctl(redis, "ban", "127.0.1.1")
    for frontend in (a, b):
        t.wait_until(lambda: is_banned(t, frontend, "127.0.1.1"), what="it is banned")
    assert t.ctl_json(redis, "bans") == [{"prefix": "127.0.1.1"}]
    t.ctl(redis, "unban", "127.0.1.1")
    for frontend in (a, b):
        t.wait_until(lambda: not is_banned(t, frontend, "127.0.1.1"), what="it is let in")
    assert t.ctl_json(redis, "bans") == []
    again = t.ctl(redis, "unban", "127.0.1.1", check=False)
    assert again.returncode == 1 and "not banned" in again.stderr


def test_a_ban_for_a_time_ends_by_itself(t):
    redis, (a,) = lobby(t, 1, bans_reread="200ms")
    t.ctl(redis, "ban", "127.0.1.1", "--for", "3s")
    t.wait_until(lambda: is_banned(t, a, "127.0.1.1"), what="it is banned")
    t.wait_until(lambda: not is_banned(t, a, "127.0.1.1"), what="it is let in")
    assert t.ctl_json(redis, "bans") == []
    t.ctl(redis, "ban", "127.0.1.1", "--for", "1h")
    left = t.ctl_json(redis, "bans")[0]["left_ms"]
    assert 3500000 < left <= 3600000, left
    table = t.ctl(redis, "bans").stdout
    assert re.search(r"^PREFIX +LEFT\n127\.0\.1\.1 +\d", table), table


def test_bans_made_before_a_front_end_starts_and_in_its_absence_of_words(t):
    redis = t.redis()
    redis("ZADD", "tracker:bans", "+inf", "127.0.1.1")
    redis("ZADD", "tracker:bans", "+inf", "nonsense")
    redis("ZADD", "tracker:bans", "1", "127.0.1.2")
    a = t.frontend(redis, listen=LISTEN, settings=settings(bans_reread="100ms"))
    t.wait_until(lambda: is_banned(t, a, "127.0.1.1"), what="it is banned")
    assert not is_banned(t, a, "127.0.1.2")
    a.wait_for_log("msg=ban_unreadable .*nonsense")
    # Without a word, it is found when they are read again.
    redis("ZADD", "tracker:bans", "+inf", "127.0.1.2")
    t.wait_until(lambda: is_banned(t, a, "127.0.1.2"), what="it is banned")


def test_they_hold_while_redis_is_unreachable(t):
    redis, (a,) = lobby(t, 1, bans_reread="100ms")
    t.ctl(redis, "ban", "127.0.1.1")
    t.wait_until(lambda: is_banned(t, a, "127.0.1.1"), what="it is banned")
    redis.process.kill()
    t.wait_until(lambda: not a.ready(), what="Redis is missed")
    assert is_banned(t, a, "127.0.1.1")


def test_the_setting_and_its_reload(t):
    redis = t.redis()
    config = "[lobby]\nbans = 127.0.1.0/24\n"
    a = t.frontend(redis, listen=LISTEN, settings=settings(), config=config)
    assert is_banned(t, a, "127.0.1.1") and not is_banned(t, a, "127.0.2.1")
    guest = t.connect(a, Player, kind="lobby-clients", source="127.0.2.1")
    guest.login()
    a.write_config("[lobby]\nbans = 127.0.2.1, 127.0.3.0/24\n")
    a.reload()
    guest.refused("banned")
    assert is_banned(t, a, "127.0.2.1") and not is_banned(t, a, "127.0.1.1")
    a.write_config("[lobby]\nbans = 127.0.2.1 nonsense\n")
    a.reload()
    a.wait_for_log("msg=reload_refused")
    assert is_banned(t, a, "127.0.3.1")


def test_ipv6_prefixes(t):
    redis = t.redis()
    a = t.frontend(redis, listen=("lobby=[::1]:0",), settings=settings())
    t.ctl(redis, "ban", "::/64")
    a.wait_for_log("msg=bans_changed")
    player = t.connect(a, Player, kind="lobby")
    player.say(type="login")
    player.refused("banned")


def test_usage(t):
    redis = t.redis()
    for words in (("ban", "nonsense"), ("ban", "10.0.0.0/33"), ("ban",), ("unban", "x"), ("ban", "10.0.0.1", "--for", "soon"),
                  ("bans", "--for", "1h"), ("bans", "x")):
        done = t.ctl(redis, *words, check=False)
        assert done.returncode == 2, (words, done)
