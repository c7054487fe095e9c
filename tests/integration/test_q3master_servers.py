"""The master's rules for game servers, each in IPv4 and IPv6."""
import string

from harness.q3master_masters import Masters

CHALLENGE = set(string.ascii_letters + string.digits + string.punctuation) - set("\\/;\"%")


def both(test):
    """The test in both families."""
    def run(t):
        for family in ("ipv4", "ipv6"):
            test(t, family)
    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@both
def test_challenges_are_of_the_form(t, family):
    masters = Masters(t, family)
    seen = set()
    for _ in range(20):
        game = masters.server()
        game.heartbeat()
        challenge, sender = game.challenge()
        assert 8 <= len(challenge) <= 11 and set(challenge.decode()) <= CHALLENGE, challenge
        assert sender[:2] == masters.address()
        seen.add(challenge)
    assert len(seen) == 20


@both
def test_malformed_datagrams(t, family):
    masters = Masters(t, family)
    game = masters.server()
    for data, reason in ((b"\xff\xff\xff\xff", "length"), (b"\xff\xff\xff\xff" + b"x" * 2045, "size"),
                         (b"\xff\xff\xff\xfeheartbeat DarkPlaces\n", "header"),
                         (b"\xff\xff\xff\xffgetstatus", "unknown"),
                         (b"\xff\xff\xff\xffheartbeat \n", "tag"), (b"\xff\xff\xff\xffheartbeat Nobody-1\n", "tag")):
        name = "udp_dropped_total" if reason == "size" else "malformed_total"
        before = masters.metric(name, reason=reason)
        game.send_raw(data)
        t.wait_until(lambda: masters.metric(name, reason=reason) == before + 1, 10, reason)
    assert game.is_silent(0.1)
    game.send(b"heartbeat DarkPlaces" + b"\n" * 2024)
    game.challenge()


@both
def test_wrong_challenges(t, family):
    masters = Masters(t, family)
    for number, (reason, forge) in enumerate((
            ("form", lambda right: b"short"), ("form", lambda right: right + b"x"),
            ("form", lambda right: right[:-1] + b";"), ("form", lambda right: None),
            ("forged", lambda right: right[:-1] + (b"A" if right[-1:] != b"A" else b"B")),
            ("forged", lambda right: b"abcdefgh"))):
        game = masters.server()
        game.heartbeat()
        challenge, _ = game.challenge()
        name = "malformed_total" if reason == "form" else "q3master_dropped_total"
        before = masters.metric(name, reason="challenge")
        game.answer(forge(challenge))
        t.wait_until(lambda: masters.metric(name, reason="challenge") == before + 1, 10, f"{number}: {reason}")
    masters.expect([])


@both
def test_a_challenge_is_of_one_address_and_port(t, family):
    masters = Masters(t, family)
    one, other = masters.server(), masters.server()
    one.heartbeat()
    challenge, _ = one.challenge()
    other.answer(challenge)
    masters.expect_refused(other, "q3master_dropped_total", reason="challenge")


@both
def test_a_challenge_is_of_one_tag(t, family):
    masters = Masters(t, family)
    game = masters.server()
    game.heartbeat("QuakeArena-1")
    challenge, _ = game.challenge()
    game.answer(challenge)
    masters.expect_refused(game, "malformed_total", protocol="q3master", reason="game")


@both
def test_a_late_challenge(t, family):
    masters = Masters(t, family, settings={"q3master.challenge": "200ms"})
    game = masters.server()
    game.heartbeat()
    challenge, _ = game.challenge()
    assert game.is_silent(0.5)
    game.answer(challenge)
    masters.expect_refused(game, "q3master_dropped_total", reason="challenge")


@both
def test_another_secret(t, family):
    masters = Masters(t, family, settings={"q3master.secret": "one"})
    other = Masters(t, family, settings={"q3master.secret": "other"}, redis=masters.redis)
    same = Masters(t, family, settings={"q3master.secret": "one"}, redis=masters.redis)
    game = masters.server()
    game.heartbeat()
    challenge, _ = game.challenge()
    game.answer(challenge, other.address())
    other.expect_count("q3master_dropped_total", reason="challenge")
    game.answer(challenge, same.address())
    masters.expect([game])
    assert masters.redis("EXISTS", "tracker:secret:q3master") == 0


@both
def test_what_an_answer_needs(t, family):
    masters = Masters(t, family)
    for reason, change in (
            ("protocol", {"protocol": None}), ("protocol", {"protocol": "three"}), ("protocol", {"protocol": ""}),
            ("protocol", {"protocol": str(1 << 32)}),  # more than 32 bits hold
            ("maxclients", {"sv_maxclients": None}),
            ("maxclients", {"sv_maxclients": "0"}), ("maxclients", {"sv_maxclients": "many"}),
            ("clients", {"clients": None}), ("game", {"gamename": None}), ("game", {"gamename": ""}),
            ("game", {"gamename": "two words"}), ("game", {"gamename": "g" * 64}),
            ("game", {"gamename": "g" * 256}), ("gametype", {"gametype": "two words"}),
            ("gametype", {"gametype": "t" * (31 + 1)})):
        game = masters.server()
        game.heartbeat()
        challenge, _ = game.challenge()
        before = masters.metric("malformed_total", protocol="q3master", reason=reason)
        game.answer(challenge, **change)
        t.wait_until(lambda: masters.metric("malformed_total", protocol="q3master", reason=reason) == before + 1,
                     10, f"{reason} {change}")
    assert masters.metric("q3master_registered_total") == 0
    masters.expect([])


@both
def test_odd_names_of_games(t, family):
    masters = Masters(t, family)
    names = ["4TheFun", "g" * 63, "a|b", "x=y", "\u00e9t\u00e9".encode("utf-8").decode("latin-1"), "Nexuiz"]
    for name in names:
        game = masters.server(gamename=name)
        game.register()
        masters.expect([game], f"{name} 3")
    wrong = masters.server()
    wrong.register(gamename="nexuiz")
    masters.expect([], "nexuiZ 3")


@both
def test_long_answers(t, family):
    masters = Masters(t, family)
    game = masters.server()
    game.register(hostname="h" * 256, mapname="m" * 255, **{"k" * 256: "v", "k" * 255: "v"})
    masters.expect([game])
    fields = masters.redis("HGETALL", f"tracker:{{lobby/1/0}}:client:{game.where}")
    names = {fields[i]: fields[i + 1] for i in range(0, len(fields), 2)}
    assert b"p:hostname" not in names and b"p:" + b"k" * 256 not in names
    assert names[b"p:mapname"] == b'"' + b"m" * 255 + b'"' and names[b"p:" + b"k" * 255] == b'"v"'
    whole = masters.server()
    whole.heartbeat()
    challenge, _ = whole.challenge()
    text = b"infoResponse\n\\challenge\\" + challenge + b"\\protocol\\3\\clients\\1\\sv_maxclients\\2\\gamename\\Xonotic"
    while len(text) + 4 < 2048 - 200:
        text += b"\\key%d\\%s" % (len(text), b"v" * 100)
    text += b"\\last\\"
    text += b"v" * (2048 - 4 - len(text))
    whole.send(text)
    masters.expect([game, whole])


@both
def test_tags_that_imply_a_game(t, family):
    masters = Masters(t, family)
    for tag, game, protocol in (("QuakeArena-1", "Quake3Arena", 68), ("Wolfenstein-1", "wolfmp", 60),
                                ("EnemyTerritory-1", "et", 84)):
        silent = masters.server(tag=tag, gamename=None, protocol=str(protocol))
        silent.register()
        same = masters.server(tag=tag, gamename=game, protocol=str(protocol))
        same.register()
        masters.expect([silent, same], f"{game} {protocol} empty full")
    other = masters.server(tag="QuakeArena-1", gamename="other")
    other.register()
    masters.expect_count("malformed_total", protocol="q3master", reason="game")


@both
def test_games_of_the_configuration(t, family):
    masters = Masters(t, family, settings={
        "q3master.games": "Warsow heartbeat=Warsow,Wsw-1 flatline=WswGone protocol=22 always=empty | nothing"})
    for tag in ("Warsow", "Wsw-1"):
        masters.server(tag=tag, gamename=None, protocol="22", clients="0").register()
    player = masters.player()
    t.wait_until(lambda: len(player.servers(masters.question("Warsow 22"))) == 2)
    game = masters.server()
    game.heartbeat("WswGone")
    assert game.is_silent(0.2)


@both
def test_accepted_and_rejected_games(t, family):
    for setting in ("accept", "reject"):
        masters = Masters(t, family, settings={f"q3master.{setting}": "Xonotic, Quake3Arena"})
        allowed, refused = ("Xonotic", "Nexuiz") if setting == "accept" else ("Nexuiz", "Xonotic")
        good, bad = masters.server(gamename=allowed), masters.server(gamename=refused)
        good.register()
        bad.register()
        masters.expect([good], f"{allowed} 3")
        masters.expect_count("q3master_dropped_total", reason="game")
        assert masters.player().servers(masters.question(f"{refused} 3"), 0.3) is None
        tagged = masters.server()
        tagged.heartbeat("QuakeArena-1")
        if setting == "accept":
            tagged.challenge()
        else:
            assert tagged.is_silent()
