"""trackerd --workers: several processes on the same ports, under a supervisor."""
import os
import re
import signal
import socket
import time

from harness import Versioned, logfmt, packets, scaled
from harness.q3master_masters import Masters

ALL_KINDS = ("tracker=127.0.0.1:0", "web=127.0.0.1:0", "turntable=127.0.0.1:0", "sync=127.0.0.1:0", "lobby=127.0.0.1:0",
             "lobby-servers=127.0.0.1:0", "lobby-clients=127.0.0.1:0", "q3master=127.0.0.1:0")


def is_alive(pid):
    """Neither gone nor a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def inodes_of(pid):
    """Of its sockets."""
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue
        found.update(re.findall(r"^socket:\[(\d+)\]$", target))
    return found


def server_inode(client):
    """Of the front-end's end of this client's connection over IPv4; "0" while it waits in a queue."""
    local, remote = client.socket.getsockname()[1], client.socket.getpeername()[1]
    with open("/proc/net/tcp", encoding="ascii") as file:
        for line in file.readlines()[1:]:
            fields = line.split()
            if int(fields[1].split(":")[1], 16) == remote and int(fields[2].split(":")[1], 16) == local:
                return fields[9]
    return None


def clients_by_worker(frontend, clients):
    """The number of each worker -> the clients that it serves."""
    sockets = {index: inodes_of(pid) for index, pid in frontend.worker_pids().items()}
    return {index: [client for client in clients if server_inode(client) in owned] for index, owned in sockets.items()}


def find_queued(frontend, clients):
    """Those that no worker has accepted; None while worker 1 has not accepted all that it will."""
    queued = [client for client in clients if server_inode(client) == "0"]
    return queued if len(queued) + len(clients_by_worker(frontend, clients)[1]) == len(clients) and \
        all(client.read_id() for client in clients if client not in queued) else None


def test_all_kinds_of_listeners_on_ports_that_the_workers_share(t):
    redis = t.redis()
    path = os.path.join(t.directory(), "t.sock")
    frontend = t.frontend(redis, node="x", listen=(*ALL_KINDS, f"tracker=unix:{path}", "tracker=[::1]:0", "tracker=*:0"),
                          settings={"lobby.password": "secret"}, workers=2)
    assert len(frontend.log_lines(r"\bmsg=ready\b")) == 1
    assert len(frontend.log_lines(r"\bmsg=worker_ready\b")) == 2
    assert all(int(where.rsplit(":", 1)[1]) > 0 for _, where in frontend.listeners if not where.startswith("unix:"))
    for kind in ("tracker", "turntable", "sync", "lobby", "lobby-servers", "lobby-clients"):
        for _ in range(8):
            assert frontend.accepts(kind), kind
    assert frontend.http("/healthz")[0] == 200
    clients = [t.connect(frontend, Versioned) for _ in range(40)]
    clients += [t.connect(frontend, Versioned, index=index) for index in (1, 2)]
    clients += [t.connect((host, frontend.address(index=3)[1]), Versioned) for host in ("127.0.0.1", "::1")]
    for client in clients:
        client.open(b"x")
    shares = clients_by_worker(frontend, clients[:40])
    assert sorted(map(len, shares.values()))[0] > 0 and sum(map(len, shares.values())) == 40, shares
    nodes = t.ctl_json(redis, "nodes")["nodes"]
    assert sorted(node["name"] for node in nodes) == ["x-1", "x-2"] and len({node["node"] for node in nodes}) == 2
    frontend.stop()
    assert not os.path.exists(path)


def test_datagrams_are_served_by_all_workers(t):
    masters = Masters(t, "ipv4", 1, workers=2)
    games = [masters.server() for _ in range(12)]
    for game in games:
        game.register()
    masters.expect(games)


def test_a_port_in_use_is_an_error(t):
    first = t.frontend(workers=2)
    for kind in ("tracker", "web"):
        host, port = first.address(kind)
        second = t.frontend(listen=(f"{kind}={host}:{port}",), workers=2, wait=False)
        assert second.process.wait() == 1
        assert "listen_failed" in second.log and "Address already in use" in second.log


def test_a_bad_configuration_is_an_error_before_anything_starts(t):
    for words in (["--workers", "x"], ["--workers", "257"], ["--workers", "-1"], ["--workers"], ["--worker", "1"],
                  ["--workers", "2", "--listen", "tracker=nowhere"],
                  ["--workers", "2", "--set", "map.cut_off=peers", "--set", "node.advertise=192.0.2.1:80"]):
        done = t.run("trackerd", *words, check=False)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, (words, done)


def test_a_worker_that_refuses_to_start_ends_the_supervisor(t):
    frontend = t.frontend(listen=("tracker=127.0.0.1:0,tls=true,tls_certificate=/nonexistent/c,tls_key=/nonexistent/k",),
                          workers=2, wait=False)
    assert frontend.process.wait() == 1 and "/nonexistent/c" in frontend.log
    assert not any(is_alive(pid) for pid in frontend.worker_pids().values())


def test_drain(t):
    redis = t.redis()
    frontend = t.frontend(redis, settings={"drain.time": "1s"}, workers=2)
    clients = [t.connect(frontend, Versioned) for _ in range(20)]
    for client in clients:
        client.open(b"x")
    frontend.stop()
    assert all(client.closed() for client in clients)
    assert not any(is_alive(pid) for pid in frontend.worker_pids().values())
    assert len(frontend.log_lines(r"\bmsg=drained\b")) == 2
    t.fsck(redis)


def test_a_second_signal_ends_at_once(t):
    frontend = t.frontend(t.redis(), settings={"drain.time": "10m"}, workers=2)
    clients = [t.connect(frontend, Versioned) for _ in range(20)]
    for client in clients:
        client.open(b"x")
    frontend.drain()
    t.wait_until(lambda: len(frontend.log_lines(r"\bmsg=draining\b")) == 2, 5, "both drain")
    assert not any(frontend.accepts() for _ in range(10)), "nobody waits in a queue that is served no more"
    assert [frontend.http("/readyz")[::2] for _ in range(6)] == [(503, b"not ready: draining\n")] * 6
    frontend.drain()
    assert frontend.process.wait() == 1, "it is no drain"
    assert all(client.closed() for client in clients)


def test_a_signal_before_it_is_ready(t):
    redis = t.redis()
    redis.stop()
    frontend = t.frontend(redis, workers=2, wait=False)
    t.wait_until(lambda: len(frontend.log_lines("redis_connect_failed")) >= 2, 10, "both look for Redis")
    frontend.stop()


def test_reload_reaches_all_workers(t):
    frontend = t.frontend(t.redis(), config="[log]\nlevel = info\n", workers=2)
    frontend.write_config("[log]\nlevel = debug\n")
    frontend.reload()
    t.wait_until(lambda: len(frontend.log_lines(r"\bmsg=reloaded\b")) == 2, 10, "both have reloaded")


def test_a_killed_workers_queue_is_served_by_another(t):
    """It is stopped first, so that connections wait in its queue, with their requests."""
    redis = t.redis()
    frontend = t.frontend(redis, workers=2)
    before = [t.connect(frontend, Versioned) for _ in range(20)]
    for client in before:
        client.open(b"before")
    served = clients_by_worker(frontend, before)
    victim = frontend.worker_pids()[2]
    os.kill(victim, signal.SIGSTOP)
    waiting = [t.connect(frontend, Versioned) for _ in range(40)]
    for client in waiting:
        client.send(packets.versioned.open(b"waiting"))
    queued = t.wait_until(lambda: find_queued(frontend, waiting), 10, "the other worker accepts its own")
    assert len(queued) >= 5, len(queued)
    started = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    for client in queued:
        client.read_id()
    took = time.monotonic() - started
    assert took < scaled(1), f"{len(queued)} connections waited for {took:.3f} s"
    for client in served[2]:
        assert client.closed()
    for client in served[1]:
        assert client.update(client.id, 1, b"still here")
    frontend.wait_for_log(r"\bmsg=worker_helped\b.*\bby=1\b")
    frontend.wait_for_log(r"\bmsg=worker_started\b.*\bworker=2\b", since=frontend.log.index("worker_exited"))
    t.wait_until(lambda: len(frontend.log_lines(r"\bmsg=worker_ready\b")) == 3, 10, "its successor is ready")
    later = [t.connect(frontend, Versioned) for _ in range(40)]
    for client in later:
        client.open(b"later")
    assert clients_by_worker(frontend, later)[2], "its successor has its sockets"
    assert len(frontend.log_lines(r"\bmsg=ready\b")) == 1


def test_a_worker_that_drains_alone_is_helped_and_replaced(t):
    redis = t.redis()
    frontend = t.frontend(redis, node="x", settings={"drain.time": "10m"}, workers=2)
    clients = [t.connect(frontend, Versioned) for _ in range(20)]
    for client in clients:
        client.open(b"x")
    drained = clients_by_worker(frontend, clients)[1]
    t.ctl(redis, "drain", "x-1")
    frontend.wait_for_log(r"\bmsg=worker_helped\b.*\bworker=1 by=2\b")
    for _ in range(20):
        t.connect(frontend, Versioned).open(b"later")
    assert frontend.http("/readyz")[0] == 200
    for client in drained:
        client.drop()
    t.wait_until(lambda: len(frontend.log_lines(r"\bmsg=worker_ready\b")) == 3, 10, "it is replaced")
    assert frontend.log_lines(r"\bmsg=worker_restarts\b.*in_ms=0 failures=0\b")


def test_datagrams_of_a_killed_worker_are_served_by_another(t):
    masters = Masters(t, "ipv4", 1, workers=2)
    frontend = masters.frontends[0]
    victim = frontend.worker_pids()[1]
    os.kill(victim, signal.SIGSTOP)
    games = [masters.server() for _ in range(12)]
    for game in games:
        game.heartbeat()
    os.kill(victim, signal.SIGKILL)
    for game in games:
        game.answer(*game.challenge())
    frontend.wait_for_log(r"\bmsg=worker_helped\b.*\bby=2\b")
    masters.expect(games)


def test_a_worker_that_fails_again_and_again_is_started_less_and_less_often(t):
    frontend = t.frontend(t.redis(), workers=2)
    for count in range(1, 6):
        t.wait_until(lambda: len(frontend.log_lines(r"msg=worker_started.* worker=1\b")) == count, 20, "it is started")
        os.kill(frontend.worker_pids()[1], signal.SIGKILL)
        t.wait_until(lambda: len(frontend.log_lines(r"\bmsg=worker_restarts\b")) == count, 10, "it will be again")
    pauses = [int(logfmt(line)["in_ms"]) for line in frontend.log_lines(r"\bmsg=worker_restarts\b")]
    assert pauses == [0, 250, 500, 1000, 2000], pauses
    assert frontend.accepts()
    status, _, text = frontend.http("/readyz")
    assert status == 200 and re.search(rb"^ready\nworker 1: starts in \d+ ms after 5 failures; worker 2 serves", text), text
    t.wait_until(lambda: frontend.http("/readyz")[2] == b"ready\n", 20, "it is back")


def test_any_worker_shows_the_metrics_of_all(t):
    redis = t.redis()
    frontend = t.frontend(redis, node="x", workers=2)
    clients = [t.connect(frontend, Versioned) for _ in range(20)]
    for client in clients:
        client.open(b"x")
    served = {index: len(those) for index, those in clients_by_worker(frontend, clients).items()}
    for _ in range(6):
        found = frontend.metrics()
        for index, count in served.items():
            label = f'worker="{index}"'
            assert found[f'tracker_messages_total{{protocol="tracker",kind="open",{label}}}'] == count
            assert found[f"tracker_ready{{{label}}}"] == found[f"tracker_worker_up{{{label}}}"] == 1
            assert found[f"tracker_worker_starts_total{{{label}}}"] == 1
            assert found[f"process_resident_memory_bytes{{{label}}}"] > 1 << 20
            assert found[f"process_start_time_seconds{{{label}}}"] > 0
            assert found[f'tracker_batch_operations_bucket{{le="+Inf",{label}}}'] >= 1
        assert not [name for name in found if "worker=" not in name]
    heads = [line for line in frontend.http("/metrics")[2].decode().splitlines() if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads))
    os.kill(frontend.worker_pids()[2], signal.SIGKILL)
    t.wait_until(lambda: len(frontend.log_lines(r"\bmsg=worker_ready\b")) == 3, 10, "it is back")
    frontend.wait_for_metric("tracker_worker_starts_total", 2, worker="2")
    assert frontend.metric("tracker_messages_total", worker="2") == 0, "its successor counts from 0 on"
    nodes = t.ctl_json(redis, "nodes")["nodes"]
    assert {(node["name"], node["info"]["worker"]) for node in nodes} == {("x-1", "1"), ("x-2", "2")}
    assert len({node["info"]["host"] for node in nodes}) == 1


def test_readiness_speaks_for_all_workers(t):
    redis = t.redis()
    frontend = t.frontend(redis, workers=2)
    status, _, text = frontend.http("/readyz")
    assert status == 200 and text == b"ready\n"
    redis.stop()
    t.wait_until(lambda: all(frontend.http("/readyz")[0] == 503 for _ in range(6)), 20, "all say so")
    redis.restart()
    t.wait_until(lambda: all(frontend.http("/readyz")[0] == 200 for _ in range(6)), 20, "all are ready again")


def test_workers_end_with_a_supervisor_that_is_killed(t):
    frontend = t.frontend(workers=2)
    client = t.connect(frontend, Versioned)
    client.open(b"x")
    pids = list(frontend.worker_pids().values())
    pids.append(int(logfmt(frontend.wait_for_log("msg=redis_started"))["pid"]))
    frontend.kill()
    t.wait_until(lambda: not any(is_alive(pid) for pid in pids), 30, "all have ended")
    assert client.closed()


def test_one_redis_for_all_workers(t):
    frontend = t.frontend(workers=2)
    assert len(frontend.log_lines("msg=redis_started")) == 1
    pid = int(logfmt(frontend.wait_for_log("msg=redis_started"))["pid"])
    for worker in frontend.worker_pids().values():
        os.kill(worker, signal.SIGKILL)
    t.wait_until(lambda: len(frontend.log_lines(r"\bmsg=worker_ready\b")) == 4, 20, "both are back")
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)
    assert frontend.process.wait(30) == 1 and "redis_crashed" in frontend.log


def test_connections_are_refused_until_a_worker_can_serve(t):
    redis = t.redis()
    redis.stop()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    frontend = t.frontend(redis, listen=(f"tracker=127.0.0.1:{port}",), workers=2, wait=False)
    t.wait_until(lambda: len(frontend.log_lines("redis_connect_failed")) >= 2, 10, "both look for Redis")
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0
    redis.restart()
    frontend.wait_ready()
    assert frontend.accepts()
