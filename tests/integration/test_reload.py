"""SIGHUP and `trackerctl reload`: what is reloadable is applied, nothing else changes, and no connection is
dropped."""
import os

from harness import Versioned, certificates


def test_reloadable_settings_are_applied(t):
    redis = t.redis()
    frontend = t.frontend(redis, config="[net]\nmax_per_address = 2\n")
    first, second = t.connect(frontend, Versioned), t.connect(frontend, Versioned)
    first.open(b"1")
    second.open(b"2")
    assert t.raw(frontend).closed(), "over the cap"
    frontend.write_config("[net]\nmax_per_address = 4\n")
    frontend.reload()
    frontend.wait_for_log(r"msg=reload.*")
    third = t.connect(frontend, Versioned)
    third.open(b"3")
    for client in (first, second, third):
        assert client.update(client.id, 1, b"still here")


def test_the_log_level_is_reloadable(t):
    frontend = t.frontend(t.redis(), config="[log]\nlevel = info\n")
    assert not frontend.log_lines("level=debug")
    frontend.write_config("[log]\nlevel = debug\n")
    frontend.reload()
    t.connect(frontend, Versioned).open(b"x")
    frontend.wait_for_log("level=debug")


def test_a_bad_file_changes_nothing_and_says_why(t):
    frontend = t.frontend(t.redis(), config="[net]\nmax_per_address = 2\n")
    client = t.connect(frontend, Versioned)
    client.open(b"1")
    for text, reason in (("[net]\nmax_per_address = 9\nmax_per_adress = 3\n", "max_per_address"),
                         ("[net]\nmax_per_address = many\n", "max_per_address"),
                         ("[net]\nmax_per_address = 9\n[log]\nlevel = loud\n", "level")):
        since = frontend.process.log_position()
        frontend.write_config(text)
        frontend.reload()
        assert reason in frontend.wait_for_log(r"level=error.*msg=reload", since=since)
    os.unlink(frontend.config_path)
    since = frontend.process.log_position()
    frontend.reload()
    assert frontend.config_path in frontend.wait_for_log(r"level=error.*msg=reload", since=since)
    second = t.connect(frontend, Versioned)
    second.open(b"2")
    assert t.raw(frontend).closed(), "the cap is what it was"
    assert client.update(client.id, 1, b"still here")


def test_what_needs_a_restart_is_said(t):
    frontend = t.frontend(t.redis(), config="[redis]\nprefix = tracker\n")
    frontend.write_config("[redis]\nprefix = other\n")
    frontend.reload()
    frontend.wait_for_log(r"key=redis\.prefix applied=\"after a restart\"")
    client = t.connect(frontend, Versioned)
    id = client.open(b"x")
    assert frontend.redis("EXISTS", b"tracker:{main/1/0}:client:" + id) == 1


def test_flags_go_before_the_file(t):
    frontend = t.frontend(t.redis(), config="[net]\nmax_per_address = 1\n", settings={"net.max_per_address": "2"})
    frontend.write_config("[net]\nmax_per_address = 1\nhandshake_timeout = 7s\n")
    frontend.reload()
    frontend.wait_for_log("msg=reload")
    t.connect(frontend, Versioned).open(b"1")
    t.connect(frontend, Versioned).open(b"2")
    assert t.raw(frontend).closed()


def test_certificates_are_read_again(t):
    directory = t.directory()
    certificate, key = certificates.make(directory)
    frontend = t.frontend(t.redis(), config="",
                          listen=(f"tracker=127.0.0.1:0,tls=true,tls_certificate={certificate},tls_key={key}",
                                  "web=127.0.0.1:0"))
    old_context = certificates.client_context(certificate)
    old = t.connect(frontend, Versioned, tls=old_context)
    old.open(b"old")
    certificates.make(directory)
    new_context = certificates.client_context(certificate)
    frontend.reload()
    frontend.wait_for_log("msg=reload")
    t.connect(frontend, Versioned, tls=new_context).open(b"new")
    assert old.update(old.id, 1, b"still here")
    # A certificate that cannot be used changes nothing, of other settings neither.
    with open(certificate, "w", encoding="ascii") as file:
        file.write("not a certificate\n")
    frontend.write_config("[log]\nlevel = debug\n")
    since = frontend.process.log_position()
    frontend.reload()
    assert certificate in frontend.wait_for_log(r"level=error msg=reload_refused", since=since)
    t.connect(frontend, Versioned, tls=new_context).open(b"newer")
    assert not frontend.log_lines("msg=setting_changed|level=debug", since)


def test_a_bad_file_of_a_listeners_option_changes_nothing(t):
    prefixes = os.path.join(t.directory(), "prefixes")

    def write(text):
        with open(prefixes, "w", encoding="ascii") as file:
            file.write(text)
    write("127.0.0.0/8\n")
    frontend = t.frontend(t.redis(), config="", listen=("web=127.0.0.1:0", f"tracker=127.0.0.1:0,proxy_from_file={prefixes}"))
    frontend.write_config("[log]\nlevel = debug\n")
    write("elsewhere\n")
    since = frontend.process.log_position()
    frontend.reload()
    assert "proxy_from" in frontend.wait_for_log("level=error msg=reload_refused", since=since)
    assert not frontend.log_lines("msg=setting_changed|level=debug", since)
    write("127.0.0.0/8\n")
    frontend.reload()
    frontend.wait_for_log("msg=reloaded", since=since)
    assert frontend.log_lines("msg=setting_changed.*log.level", since)


def test_settings_that_do_not_fit_one_another_change_nothing(t):
    frontend = t.frontend(t.redis(), config="")
    for text, reason in (("[client]\nttl = 5s\ngrace = 5s\n", "client.grace"), ("[map]\nlease = 1s\n", "map.sweep"),
                         ("[ws]\nping_interval = 29s\n", "ws.ping_interval = 29s, client.ttl = 30s"),
                         ("[redis]\nbackoff = 10s\n", "redis.backoff_max = 5s")):
        frontend.write_config("[log]\nlevel = debug\n" + text)
        since = frontend.process.log_position()
        frontend.reload()
        assert reason in frontend.wait_for_log("level=error msg=reload_refused", since=since)
        assert not frontend.log_lines("msg=setting_changed|level=debug", since)


def test_trackerctl_reload(t):
    redis = t.redis()
    frontend = t.frontend(redis, node="a", config="[net]\nmax_per_address = 1\n")
    t.connect(frontend, Versioned).open(b"1")
    frontend.write_config("[net]\nmax_per_address = 2\n")
    t.ctl(redis, "reload", "a")
    frontend.wait_for_log("msg=reload")
    t.connect(frontend, Versioned).open(b"2")
