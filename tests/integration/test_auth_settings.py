"""The settings of tokens: what does not fit is refused at the start, keys change by a reload, and what the
document says works as it is written there."""
import os
import re

from harness import certificates
from harness.jwt import SECRET, Issuer
from test_auth_websocket import closed, is_served, opened


def refusal(t, **settings):
    """What --check says of settings that do not fit."""
    arguments = [word for key, value in settings.items() for word in ("--set", f"auth.{key}={value}")]
    done = t.run("trackerd", "--check", *arguments, check=False)
    assert done.returncode == 2, done
    return done.stderr


def test_keys_are_checked_at_the_start(t):
    directory = t.directory()
    rsa, curve = Issuer("RS256", t.directory()), Issuer("ES256", t.directory())
    certificate, _ = certificates.make(directory)
    short = os.path.join(directory, "short")
    with open(short, "w", encoding="utf-8") as file:
        file.write("x" * 31 + "\n")
    for settings, said in (
            ({"mode": "on"}, "auth.key_file"),
            ({"mode": "on", "key": "x" * 31}, "31 bytes"),
            ({"mode": "on", "key_file": short}, "31 bytes"),
            ({"key": "too short"}, "9 bytes"),
            ({"mode": "on", "key_file": rsa.public}, "PEM"),
            ({"mode": "on", "algorithm": "RS256", "key": SECRET}, "public key in PEM form"),
            ({"mode": "on", "algorithm": "RS256", "key_file": rsa.private}, "private key"),
            ({"mode": "on", "algorithm": "RS256", "key_file": curve.public}, "RSA key"),
            ({"mode": "on", "algorithm": "RS256", "key_file": certificate}, "certificate"),
            ({"mode": "on", "algorithm": "ES256", "key_file": rsa.public}, "P-256"),
            ({"mode": "on", "algorithm": "none", "key": SECRET}, "HS256"),
            ({"mode": "on", "algorithm": "HS512", "key": SECRET}, "HS256"),
            ({"mode": "on", "key_file": "/nowhere/key"}, "/nowhere/key"),
            ({"mode": "on", "key": SECRET, "previous_key": "short"}, "auth.previous_key")):
        answer = refusal(t, **settings)
        assert said in answer and SECRET not in answer, (settings, answer)
    for settings in (rsa.settings(), curve.settings(), Issuer().settings()):
        t.run("trackerd", "--check", *[word for pair in settings.items() for word in ("--set", "=".join(pair))])


def test_keys_change_without_a_gap(t):
    old, new = Issuer(), Issuer(secret="fedcba9876543210fedcba9876543210")
    path = os.path.join(t.directory(), "key")

    def write(secret):
        with open(path, "w", encoding="utf-8") as file:
            file.write(secret + "\n")

    def reload(config):
        since = frontend.process.log_position()
        frontend.write_config(config)
        frontend.reload()
        frontend.wait_for_log(r"msg=reload", since=since)
    base = f"[auth]\nmode = on\nkey_file = {path}\n"
    write(old.secret)
    frontend = t.frontend(t.redis(), config=base)
    staying = opened(t, frontend, token=old.token())
    assert closed(opened(t, frontend, token=new.token())) == (3000, "bad signature")
    reload(base + f"previous_key = {new.secret}\n")
    assert is_served(opened(t, frontend, token=old.token())) and is_served(opened(t, frontend, token=new.token()))
    write(new.secret)
    reload(base)
    assert closed(opened(t, frontend, token=old.token())) == (3000, "bad signature")
    assert is_served(opened(t, frontend, token=new.token()))
    # What does not fit changes nothing.
    write("short")
    reload(base)
    frontend.wait_for_log(r"msg=reload_refused .*5 bytes")
    assert is_served(opened(t, frontend, token=new.token()))
    assert is_served(staying), "a connection stays until its token expires"
    assert new.secret not in frontend.log and old.secret not in frontend.log


def test_the_mode_is_reloadable(t):
    frontend = t.frontend(t.redis(), config="")
    staying = opened(t, frontend)
    assert is_served(staying)
    frontend.write_config(f"[auth]\nmode = on\nkey = {SECRET}\n")
    frontend.reload()
    frontend.wait_for_log("msg=reloaded")
    assert closed(opened(t, frontend)) == (3000, "no token")
    assert is_served(staying)
    assert is_served(opened(t, frontend, token=Issuer().token()))


def test_a_token_of_the_longest_size(t):
    """The limit is of the token; the request must fit too."""
    issuer = Issuer()
    frontend = t.frontend(t.redis(), settings=issuer.settings(**{"auth.max_token": "4KiB"}))
    by_size = {len(token): token for token in (issuer.token(more="x" * size) for size in range(2800, 3200))}
    assert is_served(opened(t, frontend, token=by_size[max(size for size in by_size if size <= 4096)]))
    assert closed(opened(t, frontend, token=by_size[min(size for size in by_size if size > 4096)])) \
        == (3000, "token too long")


def test_trackerctl_does_not_show_the_key(t):
    redis = t.redis()
    t.frontend(redis, node="a", settings=Issuer().settings())
    shown = t.ctl(redis, "config", "a").stdout
    assert "auth.mode" in shown and SECRET not in shown, shown


def blocks(t, language):
    """The examples of the document in that language."""
    with open(t.path("docs", "authentication.md"), encoding="utf-8") as file:
        return re.findall(rf"^```{language}\n(.*?)^```", file.read(), re.S | re.M)


def test_the_examples_of_the_document(t):
    directory = t.directory()
    secret, by_openssl = blocks(t, "sh")
    (by_python,) = blocks(t, "python")
    (config,) = blocks(t, "ini")

    def shell(text):
        return t.run("sh", "-c", f"cd {directory} && {text}").stdout.strip()
    shell(secret)
    script = os.path.join(directory, "token.py")
    with open(script, "w", encoding="utf-8") as file:
        file.write(by_python)
    redis = t.redis()
    frontend = t.frontend(redis, config=config.replace("/etc/tracker", directory))
    assert is_served(opened(t, frontend, token=shell(f"python3 {script}")))
    token = shell(by_openssl).splitlines()[-1]
    assert closed(opened(t, frontend, token=token)) == (3000, "wrong algorithm")
    frontend = t.frontend(redis, settings={"auth.mode": "on", "auth.algorithm": "RS256",
                                           "auth.key_file": os.path.join(directory, "token.pem")})
    assert is_served(opened(t, frontend, token=token))


def test_the_document_names_every_reason(t):
    """Those that the program has, in both directions."""
    with open(t.path("pkg", "auth", "token.c"), encoding="utf-8") as file:
        reasons = set(re.findall(r'^    \[[A-Z_]+\] = \{"([^"]+)", METRIC', file.read(), re.M))
    with open(t.path("docs", "authentication.md"), encoding="utf-8") as file:
        refused = file.read().partition("\n## What is refused")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| 3000 \| ([^|]*)\|", refused, re.M)
    named = {reason for line in lines for reason in re.findall(r"`([^`]+)`", line)}
    assert len(reasons) > 10
    # Not to be met where the mode is on: there is a key then.
    assert reasons - {"no key for tokens configured"} == named, reasons ^ named
