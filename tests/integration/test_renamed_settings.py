"""Settings that are given by the names that they had in 0.1.0: accepted, and reported."""
import json

FORMER = {"map.hold": "map.recovery_grace", "presence.hold": "presence.offline_delay",
          "sync.max_behind": "sync.max_backlog", "turntable.max_behind": "turntable.max_backlog"}


def values(t, redis, node):
    return json.loads(t.ctl(redis, "--json", "config", node).stdout)["nodes"][0]["config"]


def warnings(frontend):
    return [line.split("key=")[1].split()[0] for line in frontend.log_lines("msg=setting_renamed")]


def test_each_way_to_give_a_former_name(t):
    redis = t.redis()
    a = t.frontend(redis, node="a", config="[map]\nhold = 4s\n[sync]\nmax_behind = 64KiB\n",
                   environment={"TRACKER_PRESENCE_HOLD": "2s"}, settings={"turntable.max_behind": "32KiB"},
                   listen=("web=127.0.0.1:0",))
    found = values(t, redis, "a")
    assert [found[key]["value"] for key in FORMER.values()] == ["4s", "2s", "64KiB", "32KiB"], found
    assert sorted(warnings(a)) == sorted(FORMER), a.log
    line, = a.log_lines("setting_renamed.*key=map.hold")
    assert "now=map.recovery_grace" in line and "level=warn" in line, line
    # Options of listeners: reported, once, where nothing else gives them.
    b = t.frontend(redis, node="b", listen=("web=127.0.0.1:0,max_behind=8KiB", "sync=127.0.0.1:0,sync.max_behind=8KiB"))
    assert sorted(warnings(b)) == ["sync.max_behind", "turntable.max_behind"], b.log
    c = t.frontend(redis, node="c", settings={key: "8KiB" if "max" in key else "1s" for key in FORMER.values()},
                   listen=("web=127.0.0.1:0,turntable.max_backlog=8KiB",))
    assert not warnings(c), c.log


def test_a_reload_accepts_and_reports_them(t):
    redis = t.redis()
    a = t.frontend(redis, node="a", config="[turntable]\nmax_backlog = 64KiB\n", listen=("web=127.0.0.1:0",))
    assert not warnings(a), a.log
    a.write_config("[turntable]\nmax_behind = 32KiB\n")
    t.ctl(redis, "reload", "a")
    assert values(t, redis, "a")["turntable.max_backlog"]["value"] == "32KiB"
    assert warnings(a) == ["turntable.max_behind"], a.log
    a.write_config("[turntable]\nmax_behind = 32KiB\nmax_backlog = 16KiB\n")
    assert "turntable.max_backlog was already given in line 2" in t.ctl(redis, "reload", "a", check=False).stderr
    assert values(t, redis, "a")["turntable.max_backlog"]["value"] == "32KiB"


def test_the_check_and_trackerctl_report_them(t):
    redis = t.redis()
    done = t.run("trackerd", "--check", "--set", "map.hold=2s", "--listen", "sync=127.0.0.1:0,max_behind=8KiB")
    assert done.stdout == "configuration ok\n", done
    for key in ("map.hold", "sync.max_behind"):
        assert f"key={key} now={FORMER[key]}" in done.stderr, done
    done = t.run("trackerd", "--check", "--set", "map.hold=banana", check=False)
    assert done.returncode == 2 and "map.recovery_grace" in done.stderr, done
    t.frontend(redis, node="a")
    done = t.ctl(redis, "shared", "set", "map.hold=2s", "presence.offline_delay=1s")
    assert "map.hold is now called map.recovery_grace" in done.stderr and "presence.hold" not in done.stderr, done
    assert json.loads(t.ctl(redis, "--json", "shared").stdout)["settings"]["map.recovery_grace"]["value"] == "2s"
    done = t.ctl(redis, "--set", "presence.hold=1s", "fsck")
    assert "presence.hold is now called presence.offline_delay" in done.stderr, done


def test_stored_fields_keep_their_names(t):
    redis = t.redis()
    # As a front-end of 0.1.0 or of a release between has stored them.
    redis("HSET", "tracker:shared", "map.hold", "3s", "presence.hold", "2s", ".revision", "1")
    a = t.frontend(redis, node="a", settings={"map.recovery_grace": "4s"})
    found = values(t, redis, "a")
    assert found["map.recovery_grace"]["value"] == "3s" and found["presence.offline_delay"]["value"] == "2s", found
    line, = a.log_lines("shared_setting_differs")
    assert "setting=map.recovery_grace" in line and "here=4s" in line and "shared=3s" in line, line
    t.ctl(redis, "shared", "set", "map.recovery_grace=5s")
    t.wait_until(lambda: values(t, redis, "a")["map.recovery_grace"]["value"] == "5s", what="it is adopted")
    fields = {name.decode() for name in redis("HKEYS", "tracker:shared")}
    assert redis("HGET", "tracker:shared", "map.hold") == b"5s"
    assert {"map.hold", "presence.hold", "map.lease"} < fields and not fields & set(FORMER.values()), fields
