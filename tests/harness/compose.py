"""The compose files in docker/ without docker: their services as processes on loopback."""
import json
import os
import random
import re
import socket

from .haproxy import BINDS

# sh -c CONFINED sh DIRECTORY HOSTS COMMAND...: runs as a service does: without capabilities and without the way to
# new ones, all file systems read-only but for that directory, and with that file as /etc/hosts.
CONFINED = r"""
set -eu
directory=$1
hosts=$2
shift 2
mount --make-rprivate /
mount --bind "$hosts" /etc/hosts
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


def read_compose(t, name="docker-compose.yml"):
    with open(t.path("docker", name), encoding="utf-8") as file:
        return Yaml(file.read()).parse()


def free_block():
    """Three bytes of addresses on loopback that nobody uses: those of the hosts of one compose file."""
    while True:
        block = f"127.{random.randint(1, 254)}.{random.randint(0, 255)}"
        with socket.socket() as probe:
            try:
                probe.bind((f"{block}.1", 6379))
                return block
            except OSError:
                continue


class Compose:
    """Each service with its own command, environment and files, and confined as it is there. Those of Redis have
    an address each, which their names lead to; the others listen on free ports of 127.0.0.1.
    The parts: stores (redis-server processes by name), frontends (by name), haproxy, trackerctl()."""

    def __init__(self, t, variables, name="docker-compose.yml"):
        self.t, self.variables = t, variables
        self.services = read_compose(t, name)["services"]
        names = [name for name, service in self.services.items() if service.get("image") == "redis:7"]
        self.data = {name: t.directory("data") for name in names}
        block = free_block()
        self.addresses = {name: f"{block}.{index}" for index, name in enumerate(names, 1)}
        self.hosts = os.path.join(t.directory("etc"), "hosts")
        with open(self.hosts, "w", encoding="ascii") as file:
            file.write("127.0.0.1 localhost\n")
            file.write("".join(f"{address} {name}\n" for name, address in self.addresses.items()))
        self.stores = {}
        self.start_stores(*names)
        self.frontends = {name: self._start_frontend(name) for name in "abc"}
        for frontend in self.frontends.values():
            frontend.wait_ready()
        self.haproxy = self._start_haproxy()

    def confined(self, directory=None):
        """What goes before a command that is to run so."""
        return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", CONFINED, "sh",
                directory or self.t.directory("none"), self.hosts]

    def environment(self, service):
        def value(match):
            return match[0][1:] if match[0] == "$$" else self.variables[match[1]]
        data = self.data.get(service, "")
        return {key: re.sub(r"\$\$|\$\{(\w+)(?::\?[^}]*)?\}", value, re.sub("^/data/", lambda _, data=data: data + "/", text))
                for key, text in (self.services[service].get("environment") or {}).items()}

    def _here(self, service, words):
        """With the files that the container has elsewhere."""
        places = dict(one.split(":")[1::-1] for one in self.services[service].get("volumes", []) if one[0] == ".")
        return [self.t.path("docker", places[word]) if word in places else word for word in words]

    def start_stores(self, *names):
        """These servers of Redis, again with their data."""
        for name in names:
            where = ["--bind", self.addresses[name], "--dir", self.data[name]]
            words = self._here(name, self.services[name]["command"])
            self.stores[name] = self.t.start(name, self.confined(self.data[name]) + words + where,
                                             environment=self.environment(name))
        for name in names:
            self.t.wait_until(lambda name=name: self.is_healthy(name), 20,
                              lambda name=name: f"{name} is healthy:\n{self.stores[name].log}")

    def is_healthy(self, name):
        """By the health check of the service."""
        kind, command = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD-SHELL"
        command = command.replace("$$", "$").replace("redis-cli", f"redis-cli -h {self.addresses[name]}")
        return self.t.run("sh", "-c", command, environment=self.environment(name), check=False).returncode == 0

    def redis_cli(self, *words, name="redis", user=None, password=None):
        login = ["--user", user, "--no-auth-warning", "-a", password] if user else []
        return self.t.run("redis-cli", "-h", self.addresses[name], *login, *words, check=False).stdout.strip()

    def _start_frontend(self, name):
        words = self._here(name, self.services[name]["command"])
        words = [re.sub(r"=\*:\d+", "=127.0.0.1:0", word) for word in words]
        return self.t.frontend(listen=(), arguments=words, wait=False, wrapper=self.confined(),
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
                              wrapper=self.confined())

    def trackerctl(self, *words):
        """What it prints, run as the service that is not started by itself."""
        command = self._here("trackerctl", self.services["trackerctl"]["entrypoint"])
        return self.t.run(*self.confined(), self.t.program(command[0]), *command[1:], *words,
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
