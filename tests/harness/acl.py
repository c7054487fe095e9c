"""Tests under the documented users of Redis: with TRACKER_TEST_ACL=1 every private redis-server has those of
docker/redis-acl.conf, front-ends and tracker-bench use `tracker`, trackerctl uses `trackerctl`, and a test whose
Redis has an entry of theirs in its ACL LOG at the end has failed. The tests themselves stay `default`."""
import os
import re

ENABLED = os.environ.get("TRACKER_TEST_ACL", "") not in ("", "0")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONF = os.path.join(ROOT, "docker", "redis-acl.conf")
PASSWORD = "front"
OPERATOR_PASSWORD = "operator"
USERS = {"trackerd": ("tracker", PASSWORD), "tracker-bench": ("tracker", PASSWORD),
         "trackerctl": ("trackerctl", OPERATOR_PASSWORD)}


def documented():
    """user -> the rights that docker/redis-acl.conf gives it, as words, without its password."""
    with open(CONF, encoding="utf-8") as file:
        lines = re.findall(r"^user (\S+) on >\S+ (.*)$", file.read(), re.M)
    return {name: rights.split() for name, rights in lines}


def write_conf(directory):
    """The file with passwords; its path."""
    path = os.path.join(directory, "acl.conf")
    with open(CONF, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(">OPERATOR_PASSWORD", ">" + OPERATOR_PASSWORD).replace(">PASSWORD", ">" + PASSWORD))
    return path


def credentials(arguments):
    """What the environment of such a program says of its user; {} where it is to have none: it names one, or
    its Redis is an embedded one."""
    user = USERS.get(os.path.basename(arguments[0]))
    if not ENABLED or not user or "--redis" not in arguments[:-1]:
        return {}
    url = arguments[arguments.index("--redis") + 1]
    if "@" in url or re.match(r"unix:.*/tracker-\w+/redis\.sock", url) or any("redis.user=" in one for one in arguments):
        return {}
    return {"TRACKER_REDIS_USER": user[0], "TRACKER_REDIS_PASSWORD": user[1]}


def denied(log):
    """Of a reply to ACL LOG: what those users were refused."""
    entries = [dict(zip(entry[::2], entry[1::2])) for entry in log]
    names = [user.encode() for user, _ in USERS.values()]
    return sorted({f"{entry[b'username'].decode()}: {entry[b'object'].decode(errors='replace')}"
                   for entry in entries if entry[b"username"] in names})
