"""docker/docker-compose.yml without docker: its services as processes on loopback."""
import json
import os
import re

from .haproxy import BINDS
from .redis import free_port

# sh -c CONFINED sh DIRECTORY COMMAND...: runs as a service does: without capabilities and without the way to
# new ones, and all file systems read-only but for that directory.
CONFINED = r"""
set -eu
directory=$1
shift
mount --make-rprivate /
mount --bind "$directory" "$directory"
while read -r _ place kind options _; do
    case $kind:$place in
    proc:* | sysfs:* | cgroup*:* | dev*:* | mqueue:* | *:/dev/* | *:/sys/* | *:/proc/* | *:"$directory") continue ;;
    esac
    flags=remount,bind,ro
    for one in nosuid nodev noexec noatime nodiratime relatime; do
        case ,$options, in *,"$one",*) flags=$flags,$one ;; esac
    done
    mount -o "$flags" "$(printf %b "$place")"
done </proc/self/mounts
if touch "$directory/../confined" 2>/dev/null; then
    echo "not read-only" >&2
    exit 1
fi
exec setpriv --pdeathsig KILL --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""


def confined(directory):
    """What goes before a command that is to run so."""
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", CONFINED, "sh", directory]


def read_compose(t):
    with open(t.path("docker/docker-compose.yml"), encoding="utf-8") as file:
        return Yaml(file.read()).parse()


class Compose:
    """Each service with its own command, environment and files, but for addresses, and confined as it is there.
    The parts: redis (a Process), frontends (by name), haproxy, trackerctl()."""

    def __init__(self, t, variables):
        self.t, self.variables = t, variables
        self.services = read_compose(t)["services"]
        self.data = t.directory("data")
        self.port = None
        self.start_redis()
        self.frontends = {name: self._start_frontend(name) for name in "abc"}
        for frontend in self.frontends.values():
            frontend.wait_ready()
        self.haproxy = self._start_haproxy()

    def environment(self, service):
        def value(match):
            return match[0][1:] if match[0] == "$$" else self.variables[match[1]]
        return {key: re.sub(r"\$\$|\$\{(\w+)(?::\?[^}]*)?\}", value, text)
                for key, text in (self.services[service].get("environment") or {}).items()}

    def _here(self, service, words):
        """With the files that the container has elsewhere, and the Redis of the test."""
        places = dict(one.split(":")[1::-1] for one in self.services[service].get("volumes", []) if one[0] == ".")
        found = [self.t.path("docker", places[word]) if word in places else word for word in words]
        return [word.replace("redis://redis:6379", f"redis://127.0.0.1:{self.port}") for word in found]

    def start_redis(self):
        """It, again with its data and on its port."""
        command = self._here("redis", self.services["redis"]["command"])
        ports = [self.port] if self.port else [free_port() for _ in range(5)]
        for self.port in ports:
            where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.data]
            self.redis = self.t.start("redis", confined(self.data) + command + where,
                                      environment=self.environment("redis"))
            self.t.wait_until(lambda: self.redis_is_healthy() or not self.redis.running(), 20, "redis is healthy")
            if self.redis.running():
                return
            assert "Address already in use" in self.redis.log, self.redis.log
        raise AssertionError("no port for redis-server")

    def redis_is_healthy(self):
        """By the health check of the service."""
        kind, command = self.services["redis"]["healthcheck"]["test"]
        assert kind == "CMD-SHELL"
        command = command.replace("$$", "$").replace("redis-cli", f"redis-cli -p {self.port}")
        return self.t.run("sh", "-c", command, environment=self.environment("redis"), check=False).returncode == 0

    def redis_cli(self, *words, user=None, password=None):
        login = ["--user", user, "--no-auth-warning", "-a", password] if user else []
        return self.t.run("redis-cli", "-p", str(self.port), *login, *words, check=False).stdout.strip()

    def _start_frontend(self, name):
        words = self._here(name, self.services[name]["command"])
        words = [re.sub(r"=\*:\d+", "=127.0.0.1:0", word) for word in words]
        return self.t.frontend(listen=(), arguments=words, wait=False, wrapper=confined(self.t.directory("none")),
                               environment=self.environment(name))

    def port_of(self, name, inside):
        """The port here of what listens on that one in the container."""
        command = self.services[name]["command"]
        kinds = [re.match(r"(\w+)=\*:(\d+)", word) for word, before in zip(command[1:], command) if before == "--listen"]
        kind, index = next((match[1], [one[1] for one in kinds[:at]].count(match[1]))
                           for at, match in enumerate(kinds) if match[2] == inside)
        return self.frontends[name].address(kind, index)[1]

    def _start_haproxy(self):
        environment = self.environment("haproxy")
        for letter in "ABC":
            name = environment[f"NODE_{letter}_HOST"]
            environment[f"NODE_{letter}_HOST"] = "127.0.0.1"
            for key in ("PORT", "WEB_PORT", "PUBLIC_PORT", "SYNC_PORT"):
                key = f"NODE_{letter}_{key}"
                environment[key] = str(self.port_of(name, environment[key]))
        return self.t.haproxy(self.t.path("docker/haproxy.cfg"), environment, BINDS,
                              wrapper=confined(self.t.directory("none")))

    def trackerctl(self, *words):
        """What it prints, run as the service that is not started by itself."""
        command = self._here("trackerctl", self.services["trackerctl"]["entrypoint"])
        return self.t.run(*confined(self.t.directory("none")), self.t.program(command[0]), *command[1:], *words,
                          environment=self.environment("trackerctl")).stdout


class Yaml:
    """The part of YAML that the compose file keeps to: maps and lists by indentation, lists in
    brackets, quoted and plain text, one anchor per map and its merge, which comes first. Anything
    else is an error."""

    def __init__(self, text):
        self.anchors = {}
        self.lines = [(len(line) - len(line.lstrip()), line.strip()) for line in text.splitlines()
                      if line.strip() and not line.strip().startswith("#")]

    def parse(self):
        value = self.block(self.lines[0][0])
        assert not self.lines, f"not understood: {self.lines[0]}"
        return value

    def block(self, indent):
        if self.lines[0][1].startswith("- "):
            found = []
            while self.lines and self.lines[0][0] == indent:
                text = self.lines.pop(0)[1]
                assert text.startswith("- "), text
                found.append(self.scalar(text[2:]))
            return found
        merged, found = {}, {}
        if self.lines[0][1].startswith("<<: *"):
            merged = self.anchors[self.lines.pop(0)[1][5:]]
        while self.lines and self.lines[0][0] == indent:
            self.pair(indent, found)
        assert not self.lines or self.lines[0][0] < indent, f"indentation: {self.lines[0]}"
        return {**merged, **found}

    def pair(self, indent, found):
        match = re.fullmatch(r"([\w.-]+):(?: +(.*))?", self.lines.pop(0)[1])
        assert match and match[1] not in found, f"not understood: {match}"
        key, text = match[1], match[2] or ""
        anchor = re.fullmatch(r"&(\w+)", text)
        if text and not anchor:
            found[key] = self.scalar(text)
        elif self.lines and self.lines[0][0] > indent:
            found[key] = self.block(self.lines[0][0])
            if anchor:
                self.anchors[anchor[1]] = found[key]
        else:
            found[key] = None

    @staticmethod
    def scalar(text):
        if text.startswith('"'):
            return json.loads(text)
        if text.startswith("["):
            return [Yaml.scalar(one) for one in re.findall(r'"[^"]*"|[^\[\], ]+', text)]
        assert not re.search(r"[&*{}|>!%@`]|: | #", text), f"quote this: {text}"
        return text
