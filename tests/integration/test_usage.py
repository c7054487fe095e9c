"""A mistake in the command line, the environment or the file ends trackerd with 2 before anything is started, and its one
line says where the mistake is and what was expected. --check says the same."""
import os

WRONG = [
    # arguments, in the message
    (["--nosuch"], "--nosuch"),
    (["extra"], "extra"),
    (["--node"], "--node needs a value"),
    (["--check=yes"], "--check takes no value"),
    (["--set", "redis.prefx=a"], 'unknown key "redis.prefx"; the nearest is "redis.prefix"'),
    (["--set", "redis.pass=a"], 'the nearest is "redis.password"'),
    (["--set", "map.part=4"], 'the nearest is "map.partitions"'),
    (["--set", "redis.prefix"], "KEY=VALUE"),
    (["--set", "redis.deadline=99h"], "from 10ms to 10m"),
    (["--set", "redis.password_file=/nonexistent/file"], "/nonexistent/file: No such file"),
    (["--set", "client.grace=40s"], "client.grace must be less than client.ttl: client.grace = 40s, client.ttl = 30s"),
    (["--set", "map.lease=1s"], "map.sweep must be at most half of map.lease: map.sweep = 1s, map.lease = 1s"),
    (["--set", "presence.offline_delay=40s"], "presence.offline_delay must be at most client.ttl: presence.offline_delay = 40s, client.ttl = 30s"),
    (["--set", "ws.ping_interval=25s"], "client.ttl: ws.ping_interval = 25s, client.ttl = 30s"),
    (["--set", "ws.ping_interval=20s", "--set", "client.ttl=20s"], "ws.ping_interval = 20s, client.ttl = 20s"),
    (["--set", "ws.ping_interval=20s", "--set", "ws.timeout=20s"], "ws.ping_interval = 20s, ws.timeout = 20s"),
    (["--listen", "sync=127.0.0.1:0,ping_interval=29s"], "sync=127.0.0.1:0,ping_interval=29s: ws.ping_interval must be"),
    (["--listen", "web=127.0.0.1:0,ws.timeout=10s", "--set", "ws.ping_interval=10s"], "ws.ping_interval = 10s, ws.timeout = 10s"),
    (["--set", "net.keepalive=30s"], "net.keepalive = 30s, client.ttl = 30s"),
    (["--listen", "q3master=127.0.0.1:0", "--set", "q3master.ttl=2h"], "q3master.ttl = 2h, map.max_registration = 1h"),
    (["--listen", "q3master=127.0.0.1:0,ttl=15m", "--set", "map.max_registration=1m"], "q3master.ttl = 15m, map.max_registration = 1m"),
    (["--listen", "q3master=127.0.0.1:0", "--set", "q3master.ttl=2s", "--set", "q3master.probe_interval=1s"], "q3master.ttl"),
    (["--set", "redis.backoff=10s"], "redis.backoff = 10s, redis.backoff_max = 5s"),
    (["--set", "map.cut_off=peers", "--set", "node.advertise=192.0.2.1:8080", "--set", "client.grace=1s"],
     "map.cut_off = peers needs a client.grace of at least 2933ms: client.grace = 1s, map.lease = 3s, map.sweep = 1s"),
    (["--config", "/nonexistent/file"], "/nonexistent/file: No such file"),
    (["--redis", "http://localhost"], "redis.url"),
    (["--listen", "tracker"], "an address is missing"),
    (["--listen", "tracker=localhost:6789"], "not ADDRESS:PORT"),
    (["--listen", "tracker=127.0.0.1:65536"], "not ADDRESS:PORT"),
    (["--listen", "teapot=127.0.0.1:0"], "known are tracker, web"),
    (["--listen", "tracker=127.0.0.1:0,spce=main"], 'the nearest is "space"'),
    (["--listen", "tracker=127.0.0.1:0,space=other"], "map.spaces"),
    (["--listen", "tracker=127.0.0.1:0,tls=true"], "tls_certificate"),
]
UNUSABLE = [
    # arguments, in the last line of the log
    (["--listen", "tracker=192.0.2.1:0"], "192.0.2.1:0"),
    (["--listen", "tracker=unix:/nonexistent/socket"], "/nonexistent/socket"),
    (["--listen", "tracker=127.0.0.1:0,tls=true,tls_certificate=/nonexistent/c,tls_key=/nonexistent/k"], "/nonexistent/c"),
    (["--set", "redis.server=/nonexistent/redis"], "/nonexistent/redis"),
]


def check_refused(t, arguments, said, **options):
    for more in ([], ["--check"]):
        done = t.run("trackerd", *more, *arguments, check=False, **options)
        assert done.returncode == 2, (arguments, more, done)
        assert len(done.stderr.splitlines()) == 1 and said in done.stderr, (arguments, more, done.stderr)


def test_the_command_line(t):
    for arguments, said in WRONG:
        check_refused(t, arguments, said)


def test_what_can_hold_is_taken(t):
    for arguments in (["map.recovery_grace=0s", "client.grace=1s", "presence.offline_delay=1s", "q3master.ttl=4s", "q3master.probe_interval=300ms"],
                      ["client.ttl=20s"], ["client.ttl=4s", "client.grace=1s"], ["ws.timeout=10s"], ["ws.ping_interval=0"],
                      ["ws.timeout=0", "client.ttl=4s", "client.grace=1s", "ws.ping_interval=3s"], ["net.keepalive=0"],
                      ["map.max_registration=1m"], ["client.ttl=30s", "presence.offline_delay=30s"], ["map.cut_off=keep", "client.grace=0s"]):
        words = [word for one in arguments for word in ("--set", one)]
        done = t.run("trackerd", "--check", *words, "--listen", "q3master=127.0.0.1:0", "--listen", "web=127.0.0.1:0")
        assert done.stdout.strip() == "configuration ok", (arguments, done)


def test_the_environment(t):
    for name, value, said in (("TRACKER_REDIS_PREFX", "a", "the nearest is TRACKER_REDIS_PREFIX"),
                              ("TRACKER_REDIS_DEADLINE", "soon", "TRACKER_REDIS_DEADLINE"),
                              ("TRACKER_LISTEN", "tracker=nowhere", "nowhere")):
        check_refused(t, [], said, environment={name: value})


def test_the_file(t):
    path = os.path.join(t.directory(), "trackerd.ini")
    for text, said in (("[redis]\nprefx = a\n", ':2: unknown key "redis.prefx"; the nearest is "redis.prefix"'),
                       ("node = a\nnode = b\n", ":2: node was already given in line 1"),
                       ("[redis\n", ":1: "), ("[access]\nallow = " + "10.0.0.1 " * 40, ":2: is longer than")):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        check_refused(t, ["--config", path], path + said)


def test_precedence(t):
    """Flags go before the environment, that before the file, and that before the defaults."""
    redis = t.redis()
    frontend = t.frontend(redis, node="a", config="[log]\nlevel = warn\n[net]\nmax_per_address = 1\nlinger = 1s\n",
                          environment={"TRACKER_NET_MAX_PER_ADDRESS": "2", "TRACKER_LOG_LEVEL": "error",
                                       "TRACKER_NET_LINGER": "3s"},
                          settings={"log.level": "info", "net.linger": "4s"})
    config = t.ctl_json(redis, "config", "a")["nodes"][0]["config"]
    assert frontend.ready()
    for key, value, source in (("log.level", "info", "flag"), ("net.linger", "4s", "flag"),
                               ("net.max_per_address", "2", "environment"), ("net.backlog", "4096", "default")):
        assert (config[key]["value"], config[key]["source"]) == (value, source), (key, config[key])


def test_what_cannot_be_opened_ends_with_1(t):
    for arguments, said in UNUSABLE:
        done = t.run("trackerd", *arguments, check=False)
        assert done.returncode == 1, (arguments, done)
        last = done.stderr.splitlines()[-1]
        assert "level=error" in last and said in last, (arguments, done.stderr)


def test_an_openssl_without_sha1(t):
    path = os.path.join(t.directory(), "openssl.cnf")
    with open(path, "w", encoding="utf-8") as file:
        file.write("openssl_conf = start\n[start]\nproviders = all\n[all]\nnull = none\n[none]\nactivate = 1\n")
    done = t.run("trackerd", "--listen", "tracker=127.0.0.1:0", environment={"OPENSSL_CONF": path}, check=False)
    assert done.returncode == 1 and "msg=start_failed" in done.stderr and "SHA-1" in done.stderr, done
    assert "redis_started" not in done.stderr, done


def test_help_names_all_kinds_of_listeners(t):
    text = t.run("trackerd", "--help").stdout
    for kind in ("tracker", "web", "turntable", "sync", "lobby", "lobby-servers", "lobby-clients", "q3master"):
        assert f" {kind}" in text, kind
    known = t.run("trackerd", "--check", "--listen", "teapot=127.0.0.1:0", check=False).stderr
    assert all(kind in text for kind in known.split("known are ")[1].replace(",", " ").split() if kind.isalnum())


def test_what_trackerctl_suggests(t):
    for wrong, suggested in (("client", "clients"), ("nodse", "nodes"), ("pres", "presence")):
        done = t.run("trackerctl", wrong, check=False)
        assert done.returncode == 2 and f'did you mean "{suggested}"?' in done.stderr, done.stderr
        assert done.stderr.strip().endswith("trackerctl --help"), done.stderr
    for words in (("teapot-of-all",), (), ("get",), ("--nosuch",), ("--timeout", "x", "clients"), ("clients", "a", "b")):
        done = t.run("trackerctl", *words, check=False)
        assert done.returncode == 2 and done.stderr.strip().endswith("see trackerctl --help"), (words, done.stderr)


def test_trackerctl_finds_the_embedded_redis(t):
    """As right after the first start of a front-end, without a word on where its Redis is."""
    environment = {"TMPDIR": t.directory("tmp")}
    none = t.run("trackerctl", "clients", environment=environment, check=False)
    if none.returncode:  # unless this machine has a Redis at the default place
        assert none.returncode == 3 and "--redis URL or TRACKER_REDIS_URL=URL" in none.stderr, none
    t.frontend(environment=environment, node="first")
    found = t.run("trackerctl", "nodes", environment=environment)
    assert "first" in found.stdout and environment["TMPDIR"] in found.stderr, found
    missing = t.run("trackerctl", "get", "nobody", environment=environment, check=False)
    assert missing.returncode == 1 and 'no entry "nobody" in space main' in missing.stderr, missing
    # A directory that another user could have made is none of ours.
    os.mkdir(os.path.join(environment["TMPDIR"], "tracker-abcdef"), 0o777)
    t.run("trackerctl", "nodes", environment=environment)
    t.frontend(environment=environment, node="second")
    several = t.run("trackerctl", "nodes", environment=environment, check=False)
    assert several.returncode == 2 and several.stderr.count("unix:") == 2, several
