"""Passwords of game servers: one, several with names, and what guessing costs."""
import hashlib
import os
import pty
import time

from harness.lobby import LISTEN, PASSWORD, Game, Original, Player, settings
from harness.waiting import scaled, stolen


def lobby(t, **more):
    frontend, = t.frontends(1, t.redis(), listen=LISTEN, settings=settings(**more))
    return frontend


def try_login(t, frontend, password, name=None, source="127.0.0.1", kind="lobby"):
    """None when it is welcome, else the error's code."""
    game = t.connect(frontend, Game, kind=kind, source=source)
    game.say(type="login", passwd=password, port=game.port, **({"name": name} if name else {}))
    message = game.receive("welcome", "error")
    if message["type"] == "error":
        assert game.closed()
    game.drop()
    return message.get("code")


def make_line(t, name, password):
    done = t.run("trackerctl", "password", name, input=password + "\n")
    assert done.stdout.startswith(f"{name}:") and password not in done.stdout + done.stderr
    return done.stdout


def test_good_and_bad(t):
    frontend = lobby(t, penalty="0s")
    assert try_login(t, frontend, PASSWORD) is None
    for bad in ("", "x", PASSWORD + "x", PASSWORD[:-1], PASSWORD.upper(), "\u00e4"):
        assert try_login(t, frontend, bad) == "bad_password"
    # The plain one has no name.
    assert try_login(t, frontend, PASSWORD, name="somebody") == "bad_password"
    assert frontend.metric("tracker_errors_sent_total", protocol="lobby", code="bad_password") == 7


def test_the_ports_of_servers_and_of_players(t):
    frontend = lobby(t)
    assert try_login(t, frontend, PASSWORD, kind="lobby-servers") is None
    assert try_login(t, frontend, PASSWORD, kind="lobby-clients") == "not_a_server"
    player = t.connect(frontend, Player, kind="lobby-servers")
    player.say(type="login")
    player.refused("bad_password")


def test_the_originals_passwords(t):
    frontend = lobby(t, penalty="0s")
    for password in ("wrong", "", PASSWORD[:-1]):
        bad = t.connect(frontend, Original, kind="lobby")
        bad.login_server(password)
        assert bad.closed() and not bad.input
    good = t.connect(frontend, Original, kind="lobby")
    good.login_server()
    assert good.silent(0.3)


def test_a_file_of_passwords(t):
    path = os.path.join(t.directory(), "passwords")
    with open(path, "w", encoding="ascii") as file:
        file.write("# of friends\n" + make_line(t, "alice", "correct horse") + make_line(t, "bob", "battery"))
    frontend = lobby(t, password="", passwords_file=path, penalty="0s")
    assert try_login(t, frontend, "correct horse") is None
    assert try_login(t, frontend, "correct horse", name="alice") is None
    assert try_login(t, frontend, "battery", name="bob") is None
    for password, name in (("correct horse", "bob"), ("battery", "alice"), ("battery", "carol"), ("x", None), ("", "alice")):
        assert try_login(t, frontend, password, name) == "bad_password", (password, name)


def test_both_kinds_together_and_a_reload(t):
    path = os.path.join(t.directory(), "passwords")
    with open(path, "w", encoding="ascii") as file:
        file.write(make_line(t, "alice", "one"))
    frontend = lobby(t, passwords_file=path, penalty="0s")
    assert try_login(t, frontend, PASSWORD) is None and try_login(t, frontend, "one", "alice") is None
    with open(path, "w", encoding="ascii") as file:
        file.write(make_line(t, "alice", "two"))
    frontend.reload()
    frontend.wait_for_log("msg=reloaded")
    assert try_login(t, frontend, "one", "alice") == "bad_password"
    assert try_login(t, frontend, "two", "alice") is None and try_login(t, frontend, PASSWORD) is None
    with open(path, "w", encoding="ascii") as file:
        file.write("alice:abc\n")
    frontend.reload()
    frontend.wait_for_log("msg=reload_refused")
    assert try_login(t, frontend, "two", "alice") is None


def test_an_empty_file_is_no_password(t):
    path = os.path.join(t.directory(), "passwords")
    with open(path, "w", encoding="ascii") as file:
        file.write("# nobody\n")
    done = t.run("trackerd", "--listen", "lobby=127.0.0.1:0", "--set", f"lobby.passwords_file={path}", check=False)
    assert done.returncode == 2 and "lobby.password" in done.stderr


def test_the_line_is_what_its_document_says(t):
    name, salt, digest = make_line(t, "alice", "correct horse").strip().split(":")
    assert name == "alice" and len(salt) == 32 and len(digest) == 64
    assert hashlib.blake2b(b"correct horse", key=bytes.fromhex(salt), digest_size=32).hexdigest() == digest
    assert make_line(t, "alice", "correct horse") != make_line(t, "alice", "correct horse")


def test_what_password_refuses(t):
    for name in ("", "two words", "a:b", "x" * 65):
        assert t.run("trackerctl", "password", name, input="p\n", check=False).returncode == 2, name
    for text in ("\n", "", "x" * 257 + "\n"):
        done = t.run("trackerctl", "password", "alice", input=text, check=False)
        assert done.returncode == 1 and not done.stdout, text


def type_passwords(t, first, second):
    """What the terminal shows, and the exit code."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(t.program("trackerctl"), ["trackerctl", "password", "alice"])
    shown = b""
    for question, answer in ((b"Password: ", first), (b"Again: ", second)):
        while question not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, answer + b"\n")
    try:
        while data := os.read(terminal, 1000):
            shown += data
    except OSError:
        pass
    os.close(terminal)
    return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_from_a_terminal_it_is_not_shown(t):
    shown, code = type_passwords(t, b"hidden1", b"hidden1")
    assert code == 0 and "alice:" in shown and "hidden" not in shown, shown
    shown, code = type_passwords(t, b"hidden1", b"hidden2")
    assert code == 1 and "alice:" not in shown and "differ" in shown and "hidden" not in shown, shown


def test_a_bad_password_delays_the_next_one_of_that_address_only(t):
    frontend = lobby(t, penalty="2s", penalty_max="10s")
    assert try_login(t, frontend, "bad") == "bad_password"
    begun = time.monotonic()
    assert try_login(t, frontend, PASSWORD, source="127.0.0.2") is None
    others = time.monotonic() - begun
    assert try_login(t, frontend, PASSWORD) is None
    waited = time.monotonic() - begun
    assert waited >= 1.9, waited
    assert others < waited
    # A good one has made it forgotten.
    begun = time.monotonic()
    assert try_login(t, frontend, PASSWORD) is None
    assert time.monotonic() - begun < scaled(1.9) + stolen(begun)


def test_it_grows_and_many_connections_guess_no_faster(t):
    frontend = lobby(t, penalty="200ms", penalty_max="60s")
    begun = time.monotonic()
    games = [t.connect(frontend, Game, kind="lobby") for _ in range(4)]
    assert try_login(t, frontend, "bad") == "bad_password"
    for game in games:
        game.say(type="login", passwd="bad", port=1)
    for game in games:
        game.refused("bad_password")
    # The four waited in one queue, each at least the first delay after the one before.
    assert time.monotonic() - begun >= 0.8 - 0.01
    begun = time.monotonic()
    assert try_login(t, frontend, PASSWORD) is None
    assert time.monotonic() - begun >= 0.2 * 2 ** 4 - 0.1


def test_who_would_have_to_wait_too_long_is_refused_at_once(t):
    frontend = lobby(t, penalty="3s", penalty_max="3s")
    assert try_login(t, frontend, "bad") == "bad_password"
    waiting = [t.connect(frontend, Game, kind="lobby") for _ in range(2)]
    for game in waiting:
        game.say(type="login", passwd="bad", port=1)
    codes = [game.receive("error")["code"] for game in waiting]
    assert sorted(codes) == ["bad_password", "rate"], codes


def test_players_are_not_delayed(t):
    frontend = lobby(t, penalty="1h", penalty_max="1h")
    assert try_login(t, frontend, "bad") == "bad_password"
    player = t.connect(frontend, Player, kind="lobby")
    assert player.login() == {}
    # A connection that waits for its turn is in nobody's way when it goes.
    game = t.connect(frontend, Game, kind="lobby")
    game.say(type="login", passwd=PASSWORD, port=1)
    frontend.wait_for_metric("tracker_messages_total", 3, protocol="lobby", kind="login")
    game.drop()
    frontend.wait_for_metric("tracker_lobby_connections", lambda value: value == 0, role="newcomer")


def test_a_reload_may_change_the_password_but_not_take_it_away(t):
    options = settings()
    del options["lobby.password"]
    frontend = t.frontend(t.redis(), listen=LISTEN, settings=options, config="[lobby]\npassword = first\npenalty = 0s\n")
    assert try_login(t, frontend, "first") is None
    frontend.write_config("[lobby]\npenalty = 0s\n")
    frontend.reload()
    frontend.wait_for_log("msg=reload_refused .*lobby.password")
    assert try_login(t, frontend, "first") is None and try_login(t, frontend, "") == "bad_password"
    frontend.write_config("[lobby]\npassword = second\npenalty = 0s\n")
    frontend.reload()
    frontend.wait_for_log("msg=reloaded")
    assert try_login(t, frontend, "first") == "bad_password" and try_login(t, frontend, "second") is None
