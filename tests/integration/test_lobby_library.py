"""The client library's lobby, by its example programs, compiled as their first lines say, against the
installed library."""
import os
import re
import socket

from harness.lobby import LISTEN, PASSWORD, Game, Player, settings


class Library:
    """The installed library, and programs made with it."""

    def __init__(self, t):
        self.t = t
        self.root = t.directory("root")
        t.run(t.path("docker/install-files"), self.root, "/usr", t.build, "1.0")
        self.directory = t.directory("examples")

    def compile(self, name):
        environment = {"PKG_CONFIG_PATH": f"{self.root}/usr/lib/pkgconfig", "PKG_CONFIG_SYSROOT_DIR": self.root}
        words = self.t.run("pkg-config", "--cflags", "--static", "--libs", "tracker", environment=environment).stdout.split()
        sanitize = ["-fsanitize=address,undefined"] if self.t.sanitized else []
        program = os.path.join(self.directory, name)
        self.t.run("gcc", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", *sanitize, self.t.path("docs/examples", name + ".c"),
                   "-o", program, *words, timeout=60)
        return program


def lobby(t, count=1, **more):
    return t.frontends(count, t.redis(), listen=LISTEN, settings=settings(**more))


def test_a_game_server_and_a_player_meet(t):
    a, b = lobby(t, 2, ping="100ms", max_missed="1000", timeout="1h")
    library = Library(t)
    server = t.start("game_server", [library.compile("game_server"), a.where("lobby-servers"), PASSWORD])
    id = re.search(r"logged in as (\S+)", server.wait_for_log("logged in as"))[1]
    player = t.start("player", [library.compile("player"), b.where("lobby-clients")])
    player.wait_for_log(rf"^up {id} description=A door version=1.0 players=0$")
    player.wait_for_log(r"^whole [01]$")
    # It is not Quake: nobody answers the player's ping.
    player.wait_for_log(rf"^ping {id} -$")
    host, port = id.rsplit(":", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as guest:
        guest.sendto(b"join", (host, int(port)))
        player.wait_for_log(rf"^changed {id} .*players=1$")
        guest.sendto(b"leave", (host, int(port)))
        player.wait_for_log(rf"^changed {id} .*players=0$")
    # Pings are answered.
    a.wait_for_metric("tracker_messages_total", 5, protocol="lobby", kind="pong")
    # It ends in order, and so does the player.
    server.signal(15)
    assert server.wait() == 0
    player.wait_for_log(rf"^down {id} ")
    player.signal(15)
    assert player.wait() == 0
    server.check_log_is_clean()
    player.check_log_is_clean()


def test_both_come_back_to_a_front_end_that_was_killed(t):
    redis = t.redis()
    library = Library(t)
    listen = [f"{kind}=127.0.0.1:{free_port()}" for kind in ("lobby-servers", "lobby-clients")]
    a = t.frontend(redis, listen=(*listen, "web=127.0.0.1:0"), settings=settings())
    server = t.start("game_server", [library.compile("game_server"), a.where("lobby-servers"), PASSWORD])
    player = t.start("player", [library.compile("player"), a.where("lobby-clients")])
    id = re.search(r"^up (\S+)", player.wait_for_log("^up "))[1]
    a.kill()
    server.wait_for_log("disconnected")
    player.wait_for_log("disconnected")
    since = player.log_position()
    b = t.frontend(redis, listen=(*listen, "web=127.0.0.1:0"), settings=settings())
    player.wait_for_log("^whole 1", 40, since)
    b.wait_for_metric("tracker_lobby_listed", 1, 40)
    # What the list has again is not reported again.
    assert not player.log_lines(f"^down {id}", since)


def test_a_game_server_that_comes_while_redis_is_unreachable_is_listed_in_the_end(t):
    """It gets "unavailable" until then; what the server says of itself is said after each welcome."""
    redis = t.redis()
    a = t.frontend(redis, listen=LISTEN, settings=settings())
    program = Library(t).compile("game_server")
    redis.freeze()
    server = t.start("game_server", [program, a.where("lobby-servers"), PASSWORD])
    t.wait_until(lambda: len(server.log_lines("refused: the map does not answer")) >= 2, 60, "it comes back")
    assert a.metric("tracker_lobby_listed") == 0
    redis.thaw()
    player = t.connect(a, Player, kind="lobby-clients")
    player.login()
    player.wait_for(lambda servers: [one for one in servers.values() if one.get("description") == "A door"], 60)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_wrong_password_is_reported_and_not_retried_without_end(t):
    a, = lobby(t)
    server = t.start("game_server", [Library(t).compile("game_server"), a.where("lobby-servers"), "wrong"])
    server.wait_for_log("refused: the password is wrong")
    server.wait_for_log("disconnected")
    assert a.metric("tracker_messages_total", protocol="lobby", kind="login") == 1


def test_the_player_keeps_up_with_500_servers(t):
    a, = lobby(t, verify="off")
    library = Library(t)
    games = [t.connect(a, Game, kind="lobby-servers").be_listed(description=f"server {n}") for n in range(500)]
    a.wait_for_metric("tracker_lobby_listed", 500)
    watcher = t.connect(a, Player, kind="lobby-clients")
    watcher.login()
    watcher.wait_for(lambda servers: len(servers) == 500)
    player = t.start("player", [library.compile("player"), a.where("lobby-clients")])
    player.wait_for_log("^whole 500$")
    assert len(set(player.log_lines("^up "))) == 500
    for game in games[:250]:
        game.drop()
    t.wait_until(lambda: len(player.log_lines("^down ")) == 250, what="it knows who is gone")
