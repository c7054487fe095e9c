"""The master changes while connections stay open: by REPLICAOF, behind a proxy, and under a name with several
addresses. Front-ends leave the server that has become a replica, and both their connections end on one server."""
from harness.faults import LISTEN, check_served, serve, wait_ready

SETTINGS = {"map.recovery_grace": "2s"}


def pair(t):
    """A master and its replica."""
    master, replica = t.redis(tcp=True), t.redis(tcp=True)
    replica.replicate(master)
    return master, replica


def fail_over(t, old, new):
    """The roles change, as FAILOVER does it; all connections stay open."""
    offset = int(old.info("replication")["master_repl_offset"])
    t.wait_until(lambda: int(new.info("replication")["slave_repl_offset"]) >= offset, 10, "the replica has it all")
    new("REPLICAOF", "NO", "ONE")
    old("REPLICAOF", new.host, new.port)


def test_a_master_that_is_demoted_and_promoted_again(t):
    redis, other = pair(t)
    frontends, found, clients, expected = serve(t, redis.url, redis, SETTINGS)
    fail_over(t, redis, other)
    for frontend in frontends:
        t.wait_until(lambda: frontend.http("/readyz")[2] == b"not ready: readonly: Redis is a replica\n", 6,
                     lambda: f"{frontend.name} says what it is: {frontend.http('/readyz')[2]}")
        frontend.wait_for_log("redis_connections_reset .*replica", 5)
    # Nothing else is said, however many attempts there are.
    count = frontends[0].metric("tracker_redis_replicas_total")
    for frontend in frontends:
        frontend.wait_for_metric("tracker_redis_replicas_total", count + 2, 15)
        assert frontend.http("/readyz")[2] == b"not ready: readonly: Redis is a replica\n"
        assert len(frontend.log_lines("redis_is_replica")) <= 1, frontend.log
    redis.wait_synced()
    fail_over(t, other, redis)
    wait_ready(frontends)
    check_served(t, frontends, found, clients, expected, redis, 1)


def test_a_switch_that_leaves_connections_open(t):
    """The old master becomes a replica; whoever connects anew reaches the new one."""
    old, new = pair(t)
    proxy = t.proxy((old.host, old.port))
    frontends, found, clients, expected = serve(t, proxy.url, old, SETTINGS)
    for version in range(1, 4):
        proxy.switch((new.host, new.port))
        fail_over(t, old, new)
        t.wait_until(lambda: proxy.sessions((new.host, new.port)) == 4 and not proxy.sessions((old.host, old.port)), 10,
                     "both connections of both front-ends are on the new master")
        wait_ready(frontends)
        check_served(t, frontends, found, clients, expected, new, version)
        old.wait_synced()
        old, new = new, old
    for frontend in frontends:
        assert frontend.metric("tracker_redis_resets_total", reason="role") + \
            frontend.metric("tracker_redis_resets_total", reason="readonly") >= 3


def test_the_connections_are_on_different_servers(t):
    """The proxy goes to the new master, the old one lives on as a master, and loses subscribers only."""
    old, new = pair(t)
    proxy = t.proxy((old.host, old.port))
    frontends, found, clients, expected = serve(t, proxy.url, old, SETTINGS)
    new("REPLICAOF", "NO", "ONE")
    proxy.switch((new.host, new.port))
    old("CLIENT", "KILL", "TYPE", "pubsub")
    t.wait_until(lambda: proxy.sessions((new.host, new.port)) == 4 and not proxy.sessions((old.host, old.port)), 15,
                 "both connections of both front-ends are on the new master")
    wait_ready(frontends)
    check_served(t, frontends, found, clients, expected, new, 1)
    for frontend in frontends:
        assert frontend.metric("tracker_redis_resets_total", reason="servers") == 1
        frontend.wait_for_log("redis_servers_differ", 1)


def test_a_proxy_that_alternates_between_two_servers(t):
    """Never ready, never a half: what is served is one server."""
    one, two = t.redis(tcp=True), t.redis(tcp=True)
    targets = [(one.host, one.port), (two.host, two.port)]
    proxy = t.proxy(lambda number: targets[number % 2])
    frontend = t.frontend(proxy.url, listen=LISTEN, settings=SETTINGS, wait=False)
    frontend.wait_for_log("waiting_for_redis .*different servers", 15)
    t.wait_until(lambda: proxy.accepted() >= 8, 20, "it goes on trying")
    assert not frontend.log_lines("msg=ready")
    # In the end the proxy has settled.
    proxy.switch(targets[1])
    frontend.wait_ready(20)
    t.wait_until(lambda: proxy.sessions() == 2 == proxy.sessions(targets[1]), 10, "both are on one")


def test_started_at_a_replica(t):
    """It says so and waits, as the replica may be promoted."""
    master, replica = pair(t)
    frontend = t.frontend(replica, wait=False)
    frontend.wait_for_log("redis_is_replica", 10)
    frontend.wait_for_log("waiting_for_redis .*Redis is a replica", 10)
    replica("REPLICAOF", "NO", "ONE")
    frontend.wait_ready(20)
    assert not master.keys("*") and frontend.running()


def test_a_name_with_several_addresses(t):
    """Each has a server, of which one is the master; the name stays as it is when the roles change. One more is
    frozen: it takes connections and says nothing."""
    network = t.network()
    host = network.host("a")
    with host:
        master = t.redis(tcp="127.0.0.1")
        others = [t.redis(tcp=f"127.0.0.{number}", port=master.port) for number in (2, 3)]
        network.resolve(redis=["127.0.0.3", "127.0.0.2", "127.0.0.1"])
        for other in others:
            other.port = master.port
        replica, frozen = others
        replica.replicate(master)
        frozen.freeze()
        settings = {**SETTINGS, "redis.connect_timeout": "500ms"}
        frontends, found, clients, expected = serve(t, f"redis://redis:{master.port}", master, settings)
        for version in (1, 2):
            fail_over(t, master, replica)
            t.wait_until(lambda: int(replica.info("clients")["connected_clients"]) >= 5, 15, "they are on the new master")
            wait_ready(frontends)
            check_served(t, frontends, found, clients, expected, replica, version)
            master.wait_synced()
            master, replica = replica, master
        # The name alone changes: to one that was not among the addresses, when the master has gone.
        frozen.thaw()
        frozen.replicate(master)
        frozen("REPLICAOF", "NO", "ONE")
        network.resolve(redis="127.0.0.3")
        master.kill()
        wait_ready(frontends, 20)
        check_served(t, frontends, found, clients, expected, frozen, 3)
