"""The C client library while Redis is unreachable: what the map does not answer in time is asked for again, and
the entry that a client holds is taken up under its id. trackerctl open is such a client."""
import json
import subprocess

from harness.process import environment_for


class Holder:
    """trackerctl open, with the lines of JSON that it has printed; killed at the end."""

    def __init__(self, t, address, state):
        command = [t.program("trackerctl"), "--connect", "%s:%d" % address, "--timeout", "60s", "--json", "open", state]
        self.path = t.directory() + "/output"
        with open(self.path, "wb") as output:
            self.child = subprocess.Popen(command, env=environment_for(command), stdin=subprocess.PIPE, stdout=output,
                                          stderr=subprocess.STDOUT)
        t.stack.callback(self.end)

    def end(self):
        self.child.kill()
        self.child.wait()
        self.child.stdin.close()

    def said(self):
        assert self.child.poll() is None, open(self.path, encoding="utf-8").read()
        with open(self.path, encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.startswith("{") and line.endswith("\n")]


def wait_requests(frontend, kind, count):
    frontend.wait_for_metric("tracker_messages_total", lambda value: value >= count, 40, protocol="tracker", kind=kind)


def states(t, redis):
    return {client["id"]: client["state"] for client in t.ctl_json(redis, "clients")["clients"]}


def test_an_open_is_asked_for_until_it_is_answered(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    redis.freeze()
    holder = Holder(t, frontend.address(), "hello")
    wait_requests(frontend, "open", 2)
    assert not holder.said()
    redis.thaw()
    t.wait_until(holder.said, 40, "it is open")
    opened, = holder.said()
    assert opened["event"] == "opened"
    t.wait_until(lambda: states(t, redis).get(opened["id"]) == "hello", 20)


def test_an_entry_is_taken_up_again_under_its_id(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    proxy = t.proxy(frontend.address())
    holder = Holder(t, proxy.address, "held")
    t.wait_until(holder.said, 20, "it is open")
    redis.freeze()
    proxy.cut()
    wait_requests(frontend, "update", 2)
    redis.thaw()
    t.wait_until(lambda: len(holder.said()) == 2, 40, "it is there again")
    opened, again = holder.said()
    assert (again["event"], again["id"], again["adopted"]) == ("again", opened["id"], True), again
    t.wait_until(lambda: states(t, redis) == {opened["id"]: "held"}, 20)
    assert t.ctl_json(redis, "get", opened["id"])["node"], "somebody holds it"
