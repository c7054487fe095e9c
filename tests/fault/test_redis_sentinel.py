"""Redis under Sentinels: front-ends follow the master that these name, whatever changes it; and trackerctl, too."""
from harness import Versioned, certificates, logfmt
from harness.faults import check_served, serve, wait_ready

SETTINGS = {"map.recovery_grace": "2s"}


def serve_sentinels(t, sentinels):
    return serve(t, sentinels.url, sentinels.master(), SETTINGS)


def check_switched(t, served, master, version):
    wait_ready(served[0])
    check_served(t, *served, master, version)


def addresses_of(frontend, link):
    """Where that link was connected to, in order."""
    return [logfmt(line)["address"] for line in frontend.log_lines(f"msg=redis_connected .*link={link} ")]


def test_fail_overs_by_command(t):
    """The old master stays up as a replica, and connections to it stay open."""
    sentinels = t.sentinels()
    served = serve_sentinels(t, sentinels)
    for version in (1, 2):
        master = sentinels.fail_over()
        check_switched(t, served, master, version)
        for frontend in served[0]:
            for link in ("commands", "events"):
                assert addresses_of(frontend, link)[-1] == f"{master.host}:{master.port}", frontend.log
        # The next one needs the old master as a replica in sync.
        for server in sentinels.servers:
            if server is not master:
                t.wait_until(lambda server=server: server.info("replication").get("master_link_status") == "up", 20,
                             "the other is a replica in sync")
        t.wait_until(lambda: all(sentinel.fields()["flags"] == "master" and sentinel.fields()["num-slaves"] == "1"
                                 for sentinel in sentinels.all), 20, "the Sentinels are at rest")


def test_a_master_that_is_killed(t):
    sentinels = t.sentinels()
    served = serve_sentinels(t, sentinels)
    old = sentinels.master()
    old.kill()
    check_switched(t, served, sentinels.wait_for_another(old), 1)


def test_a_master_that_is_frozen(t):
    """It answers nothing, and its connections stay open. Thawed, it has become a replica before anybody uses it."""
    sentinels = t.sentinels()
    served = serve_sentinels(t, sentinels)
    old = sentinels.master()
    old.freeze()
    master = sentinels.wait_for_another(old)
    check_switched(t, served, master, 1)
    old.thaw()
    t.wait_until(lambda: old.info("replication")["role"] == "slave", 20, "the Sentinels have made it a replica")
    check_switched(t, served, master, 2)


def test_a_switch_that_no_sentinel_announces_to_us(t):
    """All connections to the Sentinels are down while they switch; a look-up after that finds the new master. The
    old one would still serve us: it is cut off from the Sentinels alone."""
    sentinels = t.sentinels()
    served = serve_sentinels(t, sentinels)
    old = sentinels.master()
    for sentinel in sentinels.all:
        sentinel("SENTINEL", "SET", "main", "down-after-milliseconds", "60000")
    for sentinel in sentinels.all:
        sentinel.process.kill()
    other = next(server for server in sentinels.servers if server is not old)
    other("REPLICAOF", "NO", "ONE")
    for sentinel in sentinels.all:
        with open(sentinel.conf, encoding="utf-8") as file:
            text = file.read()
        assert f"sentinel monitor main {old.host} {old.port} 2" in text, text
        text = text.replace(f"sentinel monitor main {old.host} {old.port} 2",
                            f"sentinel monitor main {other.host} {other.port} 2")
        text = text.replace("sentinel config-epoch main 0", "sentinel config-epoch main 1")
        with open(sentinel.conf, "w", encoding="utf-8") as file:
            file.write(text)
    for sentinel in sentinels.all:
        sentinel.start()
    for frontend in served[0]:
        frontend.wait_for_log(f"redis_master_switched .*host={other.host} port={other.port}", 20)
    check_switched(t, served, other, 1)


def test_sentinels_that_disagree(t):
    """One names another server, which is a master, too, as if it had missed the last fail-over. The word of those
    that have seen it counts, wherever they are in the list, and whoever answers first."""
    sentinels = t.sentinels(count=2)
    master = sentinels.fail_over()
    previous = t.redis(tcp=True)
    stale = t.sentinel(previous, 2)
    assert stale.fields()["config-epoch"] == "0" != sentinels.all[0].fields()["config-epoch"]
    for index in range(3):
        listed = list(sentinels.all)
        listed.insert(index, stale)
        url = f"redis-sentinel://{','.join(f'{one.host}:{one.port}' for one in listed)}/main"
        frontend = t.frontend(url, node=f"at-{index}")
        assert set(addresses_of(frontend, "commands")) == {f"{master.host}:{master.port}"}, frontend.log


def test_sentinels_of_which_one_is_left(t):
    """Two of three cannot be reached: one refuses, the other does not answer."""
    sentinels = t.sentinels()
    sentinels.all[0].process.kill()
    sentinels.all[1].process.freeze()
    frontend = t.frontend(sentinels.url, settings={"redis.connect_timeout": "1s"})
    t.connect(frontend, Versioned).open(b"x")
    done = t.run("trackerctl", "--redis", sentinels.url, "clients")
    assert done.returncode == 0 and " x" in done.stdout, done


def test_no_sentinel_knows_the_name(t):
    sentinels = t.sentinels(replicas=0, count=1)
    frontend = t.frontend(sentinels.url.replace("/main", "/other"), wait=False)
    frontend.wait_for_log("redis_connect_failed .*link=commands .*refused to name the master .*other.*No such master", 10)
    assert not frontend.log_lines("msg=ready")
    done = t.run("trackerctl", "--redis", sentinels.url.replace("/main", "/other"), "nodes", check=False)
    assert done.returncode != 0 and "No such master" in done.stderr, done


def test_no_sentinel_is_there_yet(t):
    """The front-end waits, and is ready as soon as one answers."""
    sentinels = t.sentinels(replicas=0, count=1)
    sentinels.all[0].process.kill()
    frontend = t.frontend(sentinels.url, wait=False)
    frontend.wait_for_log("redis_connect_failed .*link=commands .*a Sentinel does not answer", 10)
    sentinels.all[0].start()
    frontend.wait_ready(20)


def test_sentinels_with_a_password(t):
    """Of their own: neither Redis's nor in the URL."""
    sentinels = t.sentinels(replicas=0, count=1, password="sesame")
    frontend = t.frontend(sentinels.url, settings={"redis.sentinel_password": "sesame"})
    t.connect(frontend, Versioned).open(b"x")
    assert "sesame" not in frontend.log
    refused = t.frontend(sentinels.url, node="other", wait=False, settings={"redis.sentinel_password": "wrong"})
    refused.wait_for_log("redis_connect_failed .*link=commands .*WRONGPASS", 10)
    assert "wrong" not in refused.log.lower().replace("wrongpass", "")


def test_over_tls(t):
    """To the Sentinel and to Redis, each verified; in clear, neither answers."""
    directory = t.directory()
    certificate, key = certificates.make(directory)
    redis = t.redis(tcp=True, tls_port=0, tls_cert_file=certificate, tls_key_file=key,
                    tls_ca_cert_file=certificate, tls_auth_clients="no")
    redis("CONFIG", "SET", "port", "0", "tls-port", str(redis.port))
    sentinel = t.sentinel(redis, 1, tls=(certificate, key))
    url = f"rediss-sentinel://127.0.0.1:{sentinel.port}/main"
    t.wait_until(lambda: t.run("trackerctl", "--redis", url, "--set", f"redis.tls_ca={certificate}", "ping",
                               check=False).returncode == 0, 20, "trackerctl reaches it")
    frontend = t.frontend(url, settings={"redis.tls_ca": certificate})
    id = t.connect(frontend, Versioned).open(b"x")
    assert redis("HGET", b"tracker:{main/1/0}:client:" + id, "state") == b"x"
    other = certificates.make(directory, "other")[0]
    stranger = t.frontend(url, node="stranger", settings={"redis.tls_ca": other}, wait=False)
    stranger.wait_for_log(r"(?i)redis_connect_failed .*link=commands .*certificate")
    clear = t.frontend(url.replace("rediss", "redis"), node="clear", wait=False)
    clear.wait_for_log("redis_connect_failed .*link=commands .*a Sentinel does not answer")
    assert not stranger.log_lines("msg=ready") and not clear.log_lines("msg=ready")
