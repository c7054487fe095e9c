"""`make run`: what it says is true, and can be typed."""
import os
import re
import signal
import socket

from harness import Versioned, logfmt

FREE = ("--listen", "tracker=127.0.0.1:0", "--listen", "web=127.0.0.1:0", "--set", "drain.time=0s")


def run_local(t, *arguments, environment=None):
    return t.start("run-local", [t.path("docker/run-local"), t.program("trackerd"), *arguments], environment)


def test_what_it_says_can_be_typed(t):
    process = run_local(t, *FREE)
    process.wait_for_log("sleep 60")
    text = process.log
    listen = dict(one.split("=", 1) for one in logfmt(process.log_lines("msg=ready")[0])["listen"].split(","))
    assert f"Tracker clients       {listen['tracker']}\n" in text, text
    assert f"http://{listen['web']}/\n" in text
    line = re.search(r"^  (bash -c .*)$", text, re.M)[1]
    typed = t.start("typed", ["/bin/sh", "-c", "exec " + line])
    id = typed.wait_for_log(r"^[A-Za-z0-9]{7}$")
    keys = re.search(r"the map in Redis +(redis-cli .*)$", text, re.M)[1]
    assert f"client:{id}" in t.run("/bin/sh", "-c", keys).stdout
    clients = re.search(r"connected clients +(\S*trackerctl .*)$", text, re.M)[1]
    assert id in t.run("/bin/sh", "-c", clients).stdout
    second = re.search(r"a second front-end +(.*) \\\n +(.*)$", text, re.M)
    joined = re.sub(r":\d+\b", ":0", " ".join(second.groups())).split()
    frontend = t.frontend(listen=(), arguments=joined[1:])
    watcher = t.connect(frontend, Versioned)
    watcher.open(b"second")
    watcher.wait_for_state(id.encode(), b"hello")
    frontend.stop()
    process.signal(signal.SIGINT)
    assert process.wait() == 0, process.log


def test_signals_are_passed_on(t):
    process = run_local(t, *FREE)
    process.wait_for_log("sleep 60")
    process.signal(signal.SIGHUP)
    process.wait_for_log("msg=reload")
    process.signal(signal.SIGTERM)
    assert process.wait() == 0, process.log


def test_the_frontend_ends_with_it(t):
    process = run_local(t, *FREE)
    process.wait_for_log("sleep 60")
    redis = logfmt(process.log_lines("msg=redis_started")[0])["redis_cli"].split()[-1]
    process.kill()
    t.wait_until(lambda: not os.path.exists(redis), 20, "the embedded Redis is gone")


def test_a_taken_port_is_named(t):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        process = run_local(t, "--listen", f"tracker=127.0.0.1:{port}", "--listen", "web=127.0.0.1:0")
        assert process.wait() == 1
    assert f"cannot listen on tracker=127.0.0.1:{port} (Address already in use)" in process.log, process.log


def test_bad_usage_passes_through(t):
    process = run_local(t, "--no-such-flag")
    assert process.wait() == 2


def test_a_redis_that_is_not_there_is_not_waited_for_for_ever(t):
    """Neither one that refuses nor one that accepts and does not answer."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for url in ("unix:/nowhere/redis.sock", f"redis://127.0.0.1:{silent.getsockname()[1]}"):
            by_environment = run_local(t, *FREE, environment={"TRACKER_REDIS_URL": url})
            by_argument = run_local(t, "--redis", url, *FREE)
            for process, source in ((by_environment, "TRACKER_REDIS_URL is set"), (by_argument, "--redis")):
                process.wait_for_log(f"run-local: waiting for Redis at {url}", 20)
                process.wait_for_log(f"run-local: {source}", 20)
                process.wait_for_log(r"run-local: Redis does not serve \(.*\); giving up", 40)
                assert process.wait() == 1, process.log
