"""What Redis must permit: the documented users have just what the programs use; and what becomes of a feature
whose commands are refused, at the start and later."""
import glob
import re

from harness import SCALE, acl
from harness.q3master import GameServer
from harness.turntable import Turntable

TIMEOUT = 300
PASSWORD = "secret"
MASTERS = ("q3master=127.0.0.1:0", "web=127.0.0.1:0")
# Tests that together use each right; make test-acl runs all.
SLICE = ("unit/inspect/test_fsck$", "unit/presence/test_invite$",
         "test_trackerctl_fsck.test_(each|a_room)", "test_presence$", "test_spaces",
         "test_lobby_bans.test_unban", "test_q3master_list.test_a_server_is_listed_by_both", "test_redis_databases",
         "test_turntable_invites.test_an_invitation_waits", "test_turntable_rooms.test_a_user_with_two_devices",
         "test_sync.test_properties_are_merged", "test_lobby_session.test_the_documents_session",
         "test_shared_settings.test_a_change_is_adopted", "test_tracker_ownership.test_an_orphan_is_adopted",
         "test_one_map.test_rooms_and_users", "test_redis_min_replicas.test_a_client_that_leaves")
# Of the sources' capital words, those that are no commands: options, and replies.
NO_COMMANDS = {"ADDRESS", "BUSY", "COUNT", "ERR", "LIMIT", "LOADING", "MASTERDOWN", "MATCH", "MISCONF", "NOAUTH", "NOPERM",
               "NOSCRIPT", "OOM", "READONLY", "WITHSCORES", "WRONGPASS", "WRONGTYPE"}


def user(redis, name="tracker", without=()):
    """Makes the documented user, without some of its rights; the URL with it."""
    rights = [word for word in acl.documented()[name] if word not in without]
    redis("ACL", "SETUSER", name, "reset", "on", ">" + PASSWORD, *rights)
    return redis.url.replace("unix:", f"unix://{name}:{PASSWORD}@")


def used_by(t, *patterns):
    """The commands that these sources give to Redis."""
    found = set()
    for pattern in patterns:
        for path in glob.glob(t.path(pattern)):
            with open(path, encoding="utf-8") as file:
                text = file.read()
            if path.endswith(".lua"):
                found.update(re.findall(r"p?call\('([A-Z]+)'", text))
                found.update(re.findall(r"\{'([A-Z]+)', prefix", text))
            else:
                found.update(re.findall(r'(?:BYTES_LITERAL\(|, |\{|\{\{)"([A-Z]{3,})"', text))
    return found


def granted(rights):
    return {word[1:].split("|")[0].upper() for word in rights if word.startswith("+")}


def test_the_document_and_the_file_give_the_same_rights(t):
    with open(t.path("docs/operations.md"), encoding="utf-8") as file:
        text = file.read()
    documented = re.search(r"```\nACL SETUSER tracker on >PASSWORD (.*?)```", text, re.S)[1].split()
    more = re.search(r"`trackerctl` needs `([^`]*)` more", text)[1].split()
    users = acl.documented()
    assert users == {"tracker": documented, "trackerctl": documented + more}
    redis = t.redis()
    for name in users:
        user(redis, name)


def test_the_documented_rights_are_those_that_are_used(t):
    """Each command of a script is granted; and what is granted is used."""
    scripts = [path for path in glob.glob(t.path("pkg/schema/scripts/*.lua"))]
    operators = [path for path in scripts if re.search(r"repair|recount|shared_set", path)]
    front_ends = used_by(t, *[path for path in scripts if path not in operators])
    rights = acl.documented()
    assert len(front_ends) > 10 and front_ends <= granted(rights["tracker"]), front_ends - granted(rights["tracker"])
    both = front_ends | used_by(t, *operators)
    assert both <= granted(rights["trackerctl"]), both - granted(rights["trackerctl"])
    sources = used_by(t, "pkg/map/*.c", "pkg/relay/*.c", "pkg/presence/*.c", "pkg/room/*.c", "pkg/registration/*.c", "pkg/view/*.c", "pkg/inspect/*.c", "pkg/redis/*.c", "cmd/trackerctl/*.c") - NO_COMMANDS
    unused = granted(rights["trackerctl"]) - both - sources
    assert not unused, unused


def test_a_slice_of_the_tests_runs_under_the_documented_users(t):
    """Of each feature something, with an empty ACL LOG at the end of each Redis; and it needs each right."""
    done = t.run(t.path("tests/run"), "--build", t.build, "--jobs", "2", "--filter", "|".join(SLICE), check=False,
                 timeout=280, environment={"TRACKER_TEST_ACL": "1", "TRACKER_TEST_SCALE": str(SCALE)})
    *_, rights, counts = done.stdout.splitlines()
    assert done.returncode == 0 and int(counts.split()[0]) >= 20, done.stdout
    assert rights == "every right was used", rights


def test_a_role_that_may_not_be_read(t):
    """It is asked for again and again, and logged once; that the master has become a replica is noticed by a write."""
    redis = t.redis()
    redis.expect_refusals("tracker: info")
    settings = {"redis.role_interval": "100ms"}
    url = user(redis, without=("+info",))
    redis("ACL", "SETUSER", "tracker", "+info|server")
    frontend = t.frontend(url, settings=settings)

    def refused():
        found = re.search(rb"cmdstat_info:.*rejected_calls=(\d+)", redis("INFO", "commandstats"))
        return int(found[1]) if found else 0
    t.wait_until(lambda: refused() >= 10, 20, "it is asked for")
    # On new connections, too.
    connects = frontend.metric("tracker_redis_connects_total")
    redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    frontend.wait_for_metric("tracker_redis_connects_total", connects + 1)
    t.wait_until(frontend.ready, 20)
    before = refused()
    t.wait_until(lambda: refused() >= before + 10, 20, "it is asked for")
    lines = frontend.log_lines("level=warn msg=redis_role_unknown")
    assert len(lines) == 1 and 'why="INFO replication is refused"' in lines[0], lines
    redis("REPLICAOF", "127.0.0.1", "1")
    frontend.wait_for_metric("tracker_redis_resets_total", 1, 20, reason="readonly")
    assert frontend.metric("tracker_redis_resets_total", reason="role") == 0
    redis("REPLICAOF", "NO", "ONE")
    t.wait_until(frontend.ready, 20)
    assert len(frontend.log_lines("redis_role_unknown")) == 1


def start_masters(t, redis, url, count=2):
    settings = {"q3master.allow_loopback": "true", "map.recovery_grace": "0s"}
    return [t.frontend(url, node=chr(97 + index), listen=MASTERS, settings=settings) for index in range(count)]


def test_two_masters_share_their_secret(t):
    """One asks, and the other one takes the answer."""
    redis = t.redis()
    redis.expect_refusals()
    a, b = start_masters(t, redis, user(redis))
    game = GameServer(a.address("q3master"))
    game.heartbeat()
    challenge, _ = game.challenge()
    game.master = b.address("q3master")
    info = {**game.INFO, "challenge": challenge.decode()}
    game.send(b"infoResponse\n" + b"".join(f"\\{key}\\{value}".encode() for key, value in info.items()))
    b.wait_for_metric("tracker_q3master_registered_total", 1)
    game.close()


def test_a_feature_refused_at_the_start_keeps_it_from_becoming_ready(t):
    for feature, right, listen in (("secret", "+set", MASTERS), ("invitations", "+rpush", ("web=127.0.0.1:0",)),
                                   ("invitations", "+lrem", ("turntable=127.0.0.1:0", "web=127.0.0.1:0"))):
        redis = t.redis()
        redis.expect_refusals("tracker: " + right.removeprefix("+"))
        frontend = t.frontend(user(redis, without=(right,)), listen=listen, wait=False)
        frontend.process.wait_for_log(f"level=warn msg=feature_unavailable .*feature={feature} why=noperm")
        line = frontend.process.wait_for_log("msg=waiting_for_redis", 20)
        assert f"feature {feature} is refused by Redis: noperm" in line, line
        assert frontend.running() and not frontend.log_lines("msg=ready")
        user(redis)
        frontend.wait_ready()
        assert frontend.log_lines(f"msg=feature_available .*feature={feature}")
        t.wait_until(lambda: frontend.http("/readyz")[2] == b"ready\n", 10)


def test_what_no_listener_needs_is_not_asked_for(t):
    redis = t.redis()
    redis.expect_refusals()
    without = user(redis, without=("+set", "+rpush"))
    frontend = t.frontend(without, listen=("tracker=127.0.0.1:0", "sync=127.0.0.1:0"))
    assert not frontend.log_lines("feature_unavailable")
    settings = {"q3master.secret": "0123456789abcdef0123456789abcdef", "q3master.allow_loopback": "true"}
    frontend = t.frontend(without, listen=("q3master=127.0.0.1:0",), settings=settings)
    assert not frontend.log_lines("feature_unavailable")


def test_a_feature_refused_later_is_named_and_unavailable(t):
    redis = t.redis()
    redis.expect_refusals("tracker: rpush")
    frontend = t.frontend(user(redis), listen=("web=127.0.0.1:0",))
    t.wait_until(lambda: frontend.http("/readyz")[2] == b"ready\n", 10)
    for feature in ("secret", "bans", "invitations", "registrations"):
        assert frontend.metric("tracker_feature_up", feature=feature) == 1
    host = t.connect(frontend, Turntable, kind="web", user="1:1")
    redis("ACL", "SETUSER", "tracker", "-rpush")
    frontend.wait_for_metric("tracker_feature_up", lambda value: value == 0, 15, feature="invitations")
    assert frontend.http("/readyz")[::2] == (200, b"ready\nunavailable: invitations (noperm)\n")
    assert frontend.metric("tracker_ready") == 1 and frontend.metric("tracker_feature_up", feature="bans") == 1
    host.join("room", invite=["1:2"])
    host.refused("unavailable", "joingame")
    redis("ACL", "SETUSER", "tracker", "+rpush")
    frontend.wait_for_metric("tracker_feature_up", 1, 15, feature="invitations")
    assert frontend.http("/readyz")[2] == b"ready\n"
    host.join("room", invite=["1:2"])
    host.sync()
    guest = t.connect(frontend, Turntable, kind="web", user="1:2")
    guest.sync()
    assert [message["data"]["channel"] for _, message in guest.messages if message["command"] == "invite"] == ["room"]


def test_nothing_is_left_of_what_is_tried(t):
    redis = t.redis()
    settings = {"q3master.allow_loopback": "true"}
    t.frontend(redis, listen=MASTERS, settings=settings)
    t.wait_until(lambda: not [key for key in redis.keys("*") if ".probe" in str(key)], 10, "they have gone")
    assert redis("ZCARD", "tracker:{lobby/1/0}:registered") == 0
