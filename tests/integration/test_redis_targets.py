"""Which Redis, and how a front-end gets to it."""
import os
import re

from harness import Versioned, acl, certificates, logfmt


def test_over_tcp(t):
    redis = t.redis(tcp=True)
    client = t.connect(t.frontend(redis), Versioned)
    id = client.open(b"x")
    assert redis("EXISTS", b"tracker:{main/1/0}:client:" + id) == 1


def test_a_user_with_a_password_in_the_url(t):
    redis = t.redis(tcp=True)
    redis("ACL", "SETUSER", "front", "on", ">se:cr@et", *acl.documented()["tracker"])
    redis.expect_refusals()
    redis("ACL", "SETUSER", "default", "off")
    url = redis.url.replace("redis://", "redis://front:se%3Acr%40et@")
    frontend = t.frontend(url)
    t.connect(frontend, Versioned).open(b"x")
    assert "se:cr" not in frontend.log and "se%3A" not in frontend.log, "the password is in the log"


def test_the_documented_rights_are_enough(t):
    """Of the user in docs/operations.md: nothing that a front-end or trackerctl does is refused."""
    with open(t.path("docs/operations.md"), encoding="utf-8") as file:
        text = file.read()
    rights = re.search(r"^ACL SETUSER (.*?)```", text, re.S | re.M)[1].replace("PASSWORD", "secret").split()
    more = re.search(r"`trackerctl` needs `([+a-z ]+)` more", text)[1].split()
    redis = t.redis()
    redis("ACL", "SETUSER", *rights)
    url = f"unix://tracker:secret@{redis.socket}"
    a, b = (t.frontend(url, node=node, settings={"client.grace": "1s", "map.recovery_grace": "0s"}) for node in "ab")
    client, other = t.connect(a, Versioned), t.connect(b, Versioned)
    id = client.open(b"x")
    other.open(b"y")
    other.wait_for_state(id, b"x")
    client.drop()
    t.wait_until(lambda: other.update(id, 1, b"adopted"), what="it is adopted")
    assert other.close(id)
    redis("FLUSHALL")
    redis("SCRIPT", "FLUSH")
    t.wait_until(lambda: redis("EXISTS", b"tracker:{main/1/0}:client:" + other.id), what="it is filled again")
    orphan = t.connect(a, Versioned).open(b"z")
    a.kill()
    t.wait_until(lambda: not redis("EXISTS", b"tracker:{main/1/0}:client:" + orphan), 15, "the killed front-end's are reaped")
    assert b.ready() and redis("ACL", "LOG") == [], redis("ACL", "LOG")
    redis("ACL", "SETUSER", "tracker", *more)
    for command in (["nodes"], ["clients"], ["get", other.id.decode()], ["shard", "x"], ["fsck"], ["fsck", "--repair"],
                    ["config", "b"], ["ping"], ["shared"], ["shared", "set", "map.recovery_grace=1s"], ["kick", other.id.decode()]):
        done = t.run("trackerctl", "--redis", url, *command)
        assert done.returncode == 0, done
    assert redis("ACL", "LOG") == [], redis("ACL", "LOG")


def limit_default(redis, name):
    """The user without a name has the documented rights of that one."""
    redis("AUTH", redis.options["requirepass"])
    redis("ACL", "SETUSER", "default", "resetkeys", *acl.documented()[name])


def test_a_password_from_a_file(t):
    redis = t.redis(requirepass="from-a-file")
    limit_default(redis, "tracker")
    path = os.path.join(t.directory(), "password")
    with open(path, "w", encoding="ascii") as file:
        file.write("from-a-file\n")
    frontend = t.frontend(redis, settings={"redis.password_file": path})
    t.connect(frontend, Versioned).open(b"x")
    assert "from-a-file" not in frontend.log


def test_a_wrong_password_is_said(t):
    redis = t.redis(requirepass="right")
    redis.expect_refusals("default: AUTH")
    frontend = t.frontend(redis, settings={"redis.password": "wrong-one"}, wait=False)
    frontend.wait_for_log(r"(WRONGPASS|noauth|NOAUTH|password)")
    assert "wrong-one" not in frontend.log.replace(" ".join(frontend.process.arguments), "")
    frontend.kill()


def test_another_database(t):
    redis = t.redis(tcp=True)
    client = t.connect(t.frontend(redis.url + "/3"), Versioned)
    id = client.open(b"x")
    assert redis("EXISTS", b"tracker:{main/1/0}:client:" + id) == 0
    redis("SELECT", 3)
    assert redis("EXISTS", b"tracker:{main/1/0}:client:" + id) == 1


def test_over_tls(t):
    directory = t.directory()
    certificate, key = certificates.make(directory)
    plain = t.redis(tcp=True, tls_port=0, tls_cert_file=certificate, tls_key_file=key,
                    tls_ca_cert_file=certificate, tls_auth_clients="no")
    plain("CONFIG", "SET", "port", "0", "tls-port", str(plain.port))
    url = f"rediss://127.0.0.1:{plain.port}"
    frontend = t.frontend(url, settings={"redis.tls_ca": certificate})
    client = t.connect(frontend, Versioned)
    id = client.open(b"x")
    assert client.update(id, 1, b"y" * 200)
    assert plain("HGET", b"tracker:{main/1/0}:client:" + id, "state") == b"y" * 200
    # Not with a certificate of somebody else.
    other = certificates.make(directory, "other")[0]
    stranger = t.frontend(url, settings={"redis.tls_ca": other}, wait=False)
    stranger.wait_for_log(r"(?i)certificate")
    assert not stranger.log_lines("msg=ready")
    stranger.kill()


def test_eviction_is_refused_with_the_reason(t):
    redis = t.redis(maxmemory_policy="allkeys-lru")
    frontend = t.frontend(redis, wait=False)
    frontend.wait_for_log(r"noeviction")
    assert not frontend.log_lines("msg=ready")
    frontend.kill()


def test_bad_urls_are_bad_usage(t):
    for url in ("http://x", "redis://", "redis://host:99999", "unix:relative"):
        done = t.run("trackerd", "--redis", url, check=False)
        assert done.returncode == 2, (url, done)
        assert done.stderr.strip(), url


def test_the_embedded_redis_is_private_and_joined_by_others(t):
    first = t.frontend()
    line = logfmt(first.wait_for_log("msg=redis_started"))
    path = line["redis_cli"].split()[-1]
    assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    second = t.frontend("unix:" + path)
    one, two = t.connect(first, Versioned), t.connect(second, Versioned)
    id = one.open(b"hello")
    two.open(b"two")
    two.wait_for_state(id, b"hello")
    listed = t.run("/bin/sh", "-c", line["redis_cli"] + " --scan --pattern '*client:*'").stdout
    assert id.decode() in listed
    second.stop()


def test_the_ready_made_line_can_be_typed_wherever_the_socket_is(t):
    directory = os.path.join(t.directory(), "it's $HOME")
    os.mkdir(directory)
    frontend = t.frontend(environment={"TMPDIR": directory})
    line = logfmt(frontend.wait_for_log("msg=redis_started"))
    assert directory in line["join"]
    assert t.run("/bin/sh", "-c", line["redis_cli"] + " ping").stdout == "PONG\n"
    t.connect(t.frontend(line["join"]), Versioned).open(b"joined")


def test_the_embedded_redis_keeps_its_data_in_the_given_folder(t):
    data = t.directory("data")
    first = t.frontend(settings={"redis.data": data})
    client = t.connect(first, Versioned)
    id = client.open(b"kept")
    first.stop()
    second = t.frontend(settings={"redis.data": data})
    again = t.connect(second, Versioned)
    assert not again.update(id, 0, b"stale: the entry is still known")
    assert again.update(id, 1, b"adopted")


def test_a_redis_that_comes_later_is_waited_for(t):
    redis = t.redis(tcp=True)
    redis.kill()
    frontend = t.frontend(redis, wait=False)
    frontend.wait_for_log(r"level=(warn|error)")
    redis.start()
    frontend.wait_ready()
    t.connect(frontend, Versioned).open(b"x")


def test_without_a_redis_program_the_embedded_one_is_an_error(t):
    frontend = t.frontend(settings={"redis.server": "/nonexistent/redis-server"}, wait=False)
    assert frontend.process.wait() == 1
    assert frontend.log_lines(r"level=error.*/nonexistent/redis-server"), frontend.log


def test_an_embedded_redis_that_dies_ends_the_frontend(t):
    frontend = t.frontend()
    with open(f"/proc/{frontend.pid}/task/{frontend.pid}/children", encoding="ascii") as file:
        child = int(file.read().split()[0])
    os.kill(child, 9)
    assert frontend.process.wait() == 1
    assert frontend.log_lines(r"level=error.*redis"), frontend.log
