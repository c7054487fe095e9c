"""Tests under the documented users of Redis: with TRACKER_TEST_ACL=1 every private redis-server has those of
docker/redis-acl.conf, front-ends and tracker-bench use `tracker`, and trackerctl uses `trackerctl`. The tests
themselves stay `default`, and read the ACL LOG as a user of their own. A test fails if an ACL LOG has an entry that
the test did not announce; see Redis.expect_refusals."""
import collections
import os
import re

ENABLED = os.environ.get("TRACKER_TEST_ACL", "") not in ("", "0")
# A file to which each Redis that ends adds the commands that others than the tests gave it; see tests/run.
USED = os.environ.get("TRACKER_TEST_ACL_USED", "")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONF = os.path.join(ROOT, "docker", "redis-acl.conf")
PASSWORD = "front"
OPERATOR_PASSWORD = "operator"
USERS = {"trackerd": ("tracker", PASSWORD), "tracker-bench": ("tracker", PASSWORD),
         "trackerctl": ("trackerctl", OPERATOR_PASSWORD)}
READER = ("acl-reader", "reader")
READER_RULES = (READER[0], "on", ">" + READER[1], "-@all", "+acl", "+info")
# What the tests' own connections have sent: (address, command in lower case) → how often.
sent = collections.Counter()


def documented():
    """user -> the rights that docker/redis-acl.conf gives it, as words, without its password."""
    with open(CONF, encoding="utf-8") as file:
        lines = re.findall(r"^user (\S+) on >\S+ (.*)$", file.read(), re.M)
    return {name: rights.split() for name, rights in lines}


def front_end():
    """The user as which front-ends log in to the tests' Redis."""
    return USERS["trackerd"][0] if ENABLED else "default"


def patterns(prefix):
    """The words that permit the keys and the channels of a redis.prefix."""
    escaped = re.sub(r"([*?\[\]\\])", r"\\\1", prefix)
    return [f"~{escaped}:*", f"&{escaped}:*"]


def write_conf(directory, prefixes):
    """The file with passwords, for these values of redis.prefix too; its path."""
    path = os.path.join(directory, "acl.conf")
    with open(CONF, encoding="utf-8") as file:
        text = file.read().replace(">OPERATOR_PASSWORD", ">" + OPERATOR_PASSWORD).replace(">PASSWORD", ">" + PASSWORD)
    more = " ".join(word for prefix in prefixes for word in patterns(prefix))
    text = re.sub(r"^user .* resetchannels(?= )", lambda found: f"{found[0]} {more}", text, flags=re.M)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{text}user {' '.join(READER_RULES)}\n")
    return path


def credentials(arguments, environment=None):
    """What the environment of such a program says of its user; {} where it is to have none: the test gives it one
    or a password, or its Redis is an embedded one."""
    user = USERS.get(os.path.basename(arguments[0]))
    if not ENABLED or not user or "--redis" not in arguments[:-1]:
        return {}
    url = arguments[arguments.index("--redis") + 1]
    if "@" in url or re.match(r"unix:.*/tracker-\w+/redis\.sock", url):
        return {}
    own = any(re.match(r"redis\.(user|password|password_file)=", os.fsdecode(one)) for one in arguments)
    if own or any(name.startswith(("TRACKER_REDIS_USER", "TRACKER_REDIS_PASSWORD")) for name in environment or {}):
        return {}
    return {"TRACKER_REDIS_USER": user[0], "TRACKER_REDIS_PASSWORD": user[1]}


def refusals(log):
    """Of a reply to ACL LOG: "user: what" for everything that was refused, to any user."""
    entries = [dict(zip(entry[::2], entry[1::2])) for entry in log]
    return {f"{entry[b'username'].decode()}: {entry[b'object'].decode(errors='replace')}" for entry in entries}


def note_sent(address, words):
    """A test has sent this command itself."""
    names = [(word.decode(errors="replace") if isinstance(word, bytes) else str(word)).lower() for word in words[:2]]
    sent[address, names[0]] += 1
    sent[address, "|".join(names)] += 1


def forget_sent(*addresses):
    for key in [key for key in sent if key[0] in addresses]:
        del sent[key]


def used(stats, *addresses):
    """Of the fields of INFO commandstats: the commands that others than the tests have called."""
    found = set()
    for field, text in stats.items():
        name = field.removeprefix("cmdstat_")
        calls = int(re.match(r"calls=(\d+)", text)[1])
        if calls > sum(sent[address, name] for address in addresses):
            found.add(name)
    return found


def unused(path):
    """The commands that are granted and that no Redis of a run has added to that file."""
    with open(path, encoding="ascii") as file:
        seen = set(file.read().split())
    granted = {word[1:] for rights in documented().values() for word in rights if word.startswith("+")}
    return sorted(granted - seen - {name.split("|")[0] for name in seen})
