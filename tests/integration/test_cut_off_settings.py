"""What map.cut_off = peers needs is looked at before the start."""
from harness.redis import free_port
from harness.waiting import wait_until


def refused(t, redis, *arguments):
    done = t.run("trackerd", "--redis", redis.url, *arguments, check=False)
    assert done.returncode == 2, (done.returncode, done.stderr)
    return done.stderr


def test_what_it_needs(t):
    redis = t.redis()
    peers = ("--set", "map.cut_off=peers")
    web = ("--listen", "web=127.0.0.1:0")
    assert "map.cut_off = peers needs node.advertise" in refused(t, redis, *peers, *web)
    advertised = (*peers, "--set", "node.advertise=127.0.0.1:8080")
    for listen in ("tracker=127.0.0.1:0", "web=127.0.0.1:0,proxy=true", f"web=unix:{t.directory()}/web"):
        assert "needs a web listener with neither proxy nor tls" in refused(t, redis, *advertised, "--listen", listen)
    assert t.run("trackerd", *advertised, *web, "--check").stdout == "configuration ok\n"


def test_what_is_no_address_to_advertise(t):
    redis = t.redis()
    for where in ("*:8080", "0.0.0.0:8080", "0:8080", "[::]:8080", "[::ffff:0.0.0.0]:8080"):
        assert "a wildcard address cannot be connected to" in refused(t, redis, "--set", f"node.advertise={where}")
    for where in ("host", "host:", ":8080", "host:0", "host:65536", "host:80a", "::1:8080", "[]:80", "a b:80",
                  "http://a:80", "user@a:80"):
        assert "HOST:PORT is expected" in refused(t, redis, "--set", f"node.advertise={where}"), where
    for where in ("a:1", "web.example.org:65535", "10.0.0.5:8080", "[2001:db8::1]:8080", "a_b-c.d:80"):
        t.run("trackerd", "--set", f"node.advertise={where}", "--check")


def test_where_it_stands(t):
    redis = t.redis()
    port = free_port()
    t.frontend(redis, settings={"node.advertise": f"localhost:{port}"})
    keys = redis.keys("tracker:node:*")
    wait_until(lambda: redis("HGET", keys[0], "advertise") == b"localhost:%d" % port, 10, "it is in Redis")
