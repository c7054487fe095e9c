"""The files in docker/ that no other test starts."""
import json
import os
import re
import shutil
import signal

from harness import Plain, Versioned
from harness.compose import Compose, read_compose
from harness.haproxy import Haproxy
from harness.sync import Sync

VARIABLES = {"REDIS_PASSWORD": "a 'long' $one/&", "REDIS_OPERATOR_PASSWORD": "the operator's"}
SENTINEL_VARIABLES = {**VARIABLES, "REDIS_SENTINEL_PASSWORD": 'the "Sentinels"', "SENTINEL_PASSWORD": "their \\ clients'",
                      "REDIS_REPLICATION_PASSWORD": "the replicas' #1"}
SINGLE, SENTINEL = "docker-compose.yml", "docker-compose.sentinel.yml"


def read(t, *parts):
    with open(t.path(*parts), encoding="utf-8") as file:
        return file.read()


def test_compose_is_one_redis_three_frontends_and_haproxy(t):
    services = read_compose(t)["services"]
    assert sorted(services) == ["a", "b", "c", "haproxy", "redis", "trackerctl"]
    assert services["trackerctl"]["profiles"], "it is started with the others"
    assert services["redis"]["image"] == "redis:7"
    assert "--maxmemory-policy noeviction" in " ".join(services["redis"]["command"])
    for name in "abc":
        service = services[name]
        assert service["build"]["dockerfile"] == "docker/Dockerfile"
        assert os.path.isfile(os.path.join(t.path("docker"), service["build"]["context"], "docker/Dockerfile"))
        assert service["depends_on"]["redis"]["condition"] == "service_healthy"
        assert service["command"][:2] == ["--node", name]


def test_the_compose_file_for_sentinel_is_the_other_one_with_three_and_three(t):
    """One master at first, two replicas, three Sentinels; else the same, with another URL."""
    services, single = read_compose(t, SENTINEL)["services"], read_compose(t)["services"]
    stores, sentinels = [f"redis-{n}" for n in (1, 2, 3)], [f"sentinel-{n}" for n in (1, 2, 3)]
    assert sorted(services) == sorted({*single, *stores, *sentinels} - {"redis"})
    assert services["haproxy"] == single["haproxy"]
    url = f"redis-sentinel://{','.join(f'{name}:26379' for name in sentinels)}/main"
    for name in ("a", "b", "c", "trackerctl"):
        here, there = dict(services[name]), dict(single[name])
        for key in ("command", "entrypoint"):
            assert here.pop(key, []) == [word.replace("redis://redis:6379", url) for word in there.pop(key, [])], name
        environment = dict(here.pop("environment"))
        assert environment.pop("TRACKER_REDIS_SENTINEL_USER") == "tracker"
        assert "${SENTINEL_PASSWORD:?" in environment.pop("TRACKER_REDIS_SENTINEL_PASSWORD")
        assert environment == there.pop("environment"), name
        assert here.pop("depends_on") == sentinels and there.pop("depends_on")
        assert here == there, name
    for name in stores:
        service, command = services[name], services[name]["command"]
        assert command[:3] == single["redis"]["command"][:3] and command[-6:] == single["redis"]["command"][-6:]
        assert command[command.index("--replica-announce-ip") + 1] == name
        assert service["environment"]["REDIS_REPLICAOF"] == ("" if name == "redis-1" else "redis-1 6379")
        assert f"{name}-data:/data" in service["volumes"]
    for name in sentinels:
        assert services[name]["command"][3:7] == ["main", "redis-1", "6379", "2"]
        assert services[name]["environment"]["SENTINEL_ANNOUNCE"] == name
        assert f"{name}-data:/data" in services[name]["volumes"]


def size(text):
    return int(re.match(r"\d+", text)[0]) << {"m": 20, "g": 30}[text[-1].lower() if text[-1] != "b" else text[-2]]


def test_compose_confines_every_service(t):
    """No capabilities, read-only, less memory than all; Redis refuses writes before it is killed."""
    for file in (SINGLE, SENTINEL):
        for name, service in read_compose(t, file)["services"].items():
            assert service["cap_drop"] == ["ALL"] and "cap_add" not in service, name
            assert service["read_only"] == "true" and service["security_opt"] == ["no-new-privileges:true"], name
            assert "privileged" not in service and size(service["mem_limit"]) <= 1 << 30, name
            # What is mounted from here cannot be written.
            assert all(one.endswith(":ro") for one in service.get("volumes", []) if one[0] in "./"), name
            command = service.get("command", [])
            if "--maxmemory" in command:
                assert size(command[command.index("--maxmemory") + 1]) <= size(service["mem_limit"]) // 2
            if service["image"] == "redis:7":
                assert service["user"] == "redis", name


def test_compose_publishes_the_public_ports_alone(t):
    for file in (SINGLE, SENTINEL):
        services = read_compose(t, file)["services"]
        internal = services["haproxy"]["environment"]["INTERNAL_BIND"].split(":")[1]
        for one in services["haproxy"]["ports"]:
            assert one.startswith("127.0.0.1:") == one.endswith(":" + internal), one
        assert not any("ports" in service for name, service in services.items() if name != "haproxy")


def test_compose_gives_haproxy_what_its_configuration_reads(t):
    services = read_compose(t)["services"]
    environment = services["haproxy"]["environment"]
    text = "\n".join(line for line in read(t, "docker/haproxy.cfg").splitlines() if not line.lstrip().startswith("#"))
    assert set(environment) == set(re.findall(r"\$\{(\w+)\}", text))
    for name in "ABC":
        command = services[environment[f"NODE_{name}_HOST"]]["command"]
        listeners = [word for word, before in zip(command[1:], command) if before == "--listen"]
        # The internal one is the first of its kind: others ask it, and so does the image's health check.
        assert listeners == [f"tracker=*:{environment[f'NODE_{name}_PORT']},proxy=true",
                             f"web=*:{environment[f'NODE_{name}_WEB_PORT']}",
                             f"web=*:{environment[f'NODE_{name}_PUBLIC_PORT']},proxy=true,admin=off",
                             f"sync=*:{environment[f'NODE_{name}_SYNC_PORT']},proxy=true"], listeners
        assert f"node.advertise={name.lower()}:{environment[f'NODE_{name}_WEB_PORT']}" in command
        assert f"/127.0.0.1/{environment[f'NODE_{name}_WEB_PORT']} " in " ".join(healthcheck(t))
    # With hosts that exist here, HAProxy takes the file as compose would give it.
    here = {key: "127.0.0.1" if key.endswith("_HOST") else value for key, value in environment.items()}
    assert Haproxy.check(t.path("docker/haproxy.cfg"), here) == ""


def is_confined(process):
    """No capability, nor a way to one, and a root that cannot be written."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        status = dict(line.split(":\t", 1) for line in file.read().splitlines())
    with open(f"/proc/{process.pid}/mounts", encoding="utf-8") as file:
        roots = [line.split()[3].split(",") for line in file if line.split()[1] == "/"]
    return (all(int(status[key], 16) == 0 for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
            and status["NoNewPrivs"] == "1" and all("ro" in options for options in roots))


def test_compose_as_a_whole_on_loopback(t):
    """Every service with its own command, environment and confinement. Redis knows those two users alone."""
    world = Compose(t, VARIABLES)
    for process in (world.stores["redis"], world.haproxy.process, *(one.process for one in world.frontends.values())):
        assert is_confined(process), process.name
    clients = [t.connect(world.haproxy.address("TRACKER_BIND"), Versioned) for _ in range(3)]
    ids = {client.open(b"x") for client in clients}
    t.connect(world.haproxy.address("WEB_BIND"), Sync).wait(lambda: True)
    assert {node["name"] for node in json.loads(world.trackerctl("--json", "nodes"))["nodes"]} == {"a", "b", "c"}
    for one in ids:
        assert "x" in world.trackerctl("get", one.decode())
    assert world.redis_cli("PING").startswith("NOAUTH")
    assert world.redis_cli("PING", user="default", password=VARIABLES["REDIS_PASSWORD"]).startswith("NOAUTH")
    login = {"user": "tracker", "password": VARIABLES["REDIS_PASSWORD"]}
    assert world.redis_cli("PING", **login) == "PONG"
    assert world.redis_cli("FLUSHALL", **login).startswith("NOPERM")
    for name, frontend in world.frontends.items():
        assert frontend.http("/readyz")[::2] == (200, b"ready\n"), name
        with open(f"/proc/{frontend.pid}/cmdline", "rb") as file:
            assert VARIABLES["REDIS_PASSWORD"].encode() not in file.read()
    # Again with the file that it wrote.
    world.stores["redis"].signal(signal.SIGTERM)
    world.stores["redis"].wait()
    world.start_stores("redis")
    assert "AOF-loading-client" not in world.stores["redis"].log, world.stores["redis"].log
    for frontend in world.frontends.values():
        t.wait_until(frontend.ready, 20, "it is ready again")
    reader = t.connect(world.haproxy.address("TRACKER_BIND"), Plain)
    t.wait_until(lambda: reader.get().keys() >= ids, 20, "the map is there again")


class SentinelWorld:
    """The file for Sentinel, and a few clients that are served."""

    def __init__(self, t):
        self.t = t
        self.world = Compose(t, SENTINEL_VARIABLES, SENTINEL)
        self.redis = [name for name in self.world.stores if name.startswith("redis")]
        self.sentinels = [name for name in self.world.stores if name.startswith("sentinel")]
        address = self.world.haproxy.address("TRACKER_BIND")
        self.clients = [t.connect(address, Versioned) for _ in range(3)]
        self.ids = [client.open(b"0") for client in self.clients]
        self.version = 0

    def cli(self, name, *words):
        """As the user that may."""
        user, variable = ("tracker", "SENTINEL_PASSWORD") if name in self.sentinels else ("tracker", "REDIS_PASSWORD")
        port = ["-p", "26379"] if name in self.sentinels else []
        return self.world.redis_cli(*port, *words, name=name, user=user, password=SENTINEL_VARIABLES[variable])

    def sentinel_fields(self, name):
        """What this Sentinel knows of the master."""
        words = self.cli(name, "SENTINEL", "MASTER", "main").splitlines()
        return dict(zip(words[::2], words[1::2]))

    def master(self):
        """The one that all Sentinels name; None while they differ."""
        named = {self.sentinel_fields(name).get("ip") for name in self.sentinels}
        return named.pop() if len(named) == 1 else None

    def field(self, name, field):
        """Of INFO replication."""
        return dict(line.split(":", 1) for line in self.cli(name, "INFO", "replication").splitlines()
                    if ":" in line).get(field)

    def wait_replicated(self):
        master = self.master()
        for name in self.redis:
            if name != master:
                self.t.wait_until(lambda name=name: (self.field(name, "master_host"),
                                                     self.field(name, "master_link_status")) == (master, "up"), 40,
                                  lambda name=name: f"{name} replicates {master}: {self.world.stores[name].log}")
        for name in self.sentinels:
            self.t.wait_until(lambda name=name: [self.sentinel_fields(name).get(field) for field in
                                                 ("num-slaves", "num-other-sentinels", "flags")] == ["2", "2", "master"],
                              40, lambda name=name: f"it knows the others: {self.sentinel_fields(name)}")

    def fail_over(self):
        """By killing the master; returns its name."""
        old = self.master()
        self.world.stores[old].kill()
        self.t.wait_until(lambda: self.master() not in (None, old), 40,
                          lambda: f"the Sentinels switch: {self.world.stores['sentinel-1'].log}")
        return old

    def check_served(self):
        self.version += 1
        for client, id in zip(self.clients, self.ids):
            self.t.wait_until(lambda client=client, id=id: client.update(id, self.version, b"%d" % self.version), 20,
                              "an update is acknowledged")
        for id in self.ids:
            assert str(self.version) in self.world.trackerctl("get", id.decode())

    def stop(self, *names):
        for name in names:
            self.world.stores[name].signal(signal.SIGTERM)
        for name in names:
            self.world.stores[name].wait()


def test_compose_for_sentinel_as_a_whole_on_loopback(t):
    """Every service with its own command, environment and confinement; the master is killed, and returns as a replica;
    all that is of Redis is stopped, and knows everything again."""
    served = SentinelWorld(t)
    world = served.world
    for process in (*world.stores.values(), world.haproxy.process, *(one.process for one in world.frontends.values())):
        assert is_confined(process), process.name
    assert served.master() == "redis-1"
    served.wait_replicated()
    served.check_served()
    old = served.fail_over()
    assert served.master() in ("redis-2", "redis-3")
    served.check_served()
    world.start_stores(old)
    served.wait_replicated()
    served.check_served()
    # Nobody but those users, none of whom was refused anything.
    login = {"user": "default", "password": "x"}
    for name in served.redis:
        assert world.redis_cli("PING", name=name).startswith("NOAUTH")
        assert world.redis_cli("PING", name=name, **login).startswith("NOAUTH")
        assert served.cli(name, "REPLICAOF", "NO", "ONE").startswith("NOPERM")
    for name in served.sentinels:
        assert world.redis_cli("-p", "26379", "PING", name=name).startswith("NOAUTH")
        assert served.cli(name, "SENTINEL", "FAILOVER", "main").startswith("NOPERM")
    for name, process in world.stores.items():
        assert "NOPERM" not in process.log and "WRONGPASS" not in process.log, f"{name}:\n{process.log}"
    master = served.master()
    served.stop(*world.stores)
    world.start_stores(*world.stores)
    assert served.master() == master
    served.wait_replicated()
    served.check_served()
    for frontend in world.frontends.values():
        t.wait_until(frontend.ready, 20, "it is ready again")


def test_passwords_of_the_compose_file_for_sentinel_are_for_their_owners_alone(t):
    """Not in arguments; files with them are readable for their owner alone; new ones apply at the next start."""
    served = SentinelWorld(t)
    for process in [*served.world.stores.values(), *(one.process for one in served.world.frontends.values())]:
        with open(f"/proc/{process.pid}/cmdline", "rb") as file:
            words = file.read()
        assert not any(one.encode() in words for one in SENTINEL_VARIABLES.values()), process.name
    for name, directory in served.world.data.items():
        for file in os.listdir(directory):
            if file.endswith(".conf"):
                assert os.stat(os.path.join(directory, file)).st_mode & 0o077 == 0, (name, file)
    master = served.master()
    served.stop(*served.world.stores)
    served.world.variables = {key: value + "+" for key, value in SENTINEL_VARIABLES.items()}
    served.world.start_stores(*served.world.stores)
    for name in served.redis:
        assert served.cli(name, "PING").startswith("NOAUTH")
    for name in served.sentinels:
        login = {"user": "tracker", "password": served.world.variables["SENTINEL_PASSWORD"]}
        assert master in served.world.redis_cli("-p", "26379", "SENTINEL", "MASTER", "main", name=name, **login)
    for name in served.redis:
        if name != master:
            login = {"user": "tracker", "password": served.world.variables["REDIS_PASSWORD"]}
            t.wait_until(lambda name=name, login=login: "master_link_status:up" in served.world.redis_cli(
                "INFO", "replication", name=name, **login), 40, "it replicates with the new password")


def test_redis_wants_all_passwords(t):
    files = [t.path("docker", name) for name in ("redis-acl.conf", "redis-acl-sentinel.conf")]
    for name in VARIABLES:
        done = t.run("sh", t.path("docker/run-redis"), files[0], "--port", "0",
                     environment={**VARIABLES, name: ""}, check=False)
        assert done.returncode != 0 and f"{name}: choose a password" in done.stderr, done
    for name in ("REDIS_SENTINEL_PASSWORD", "REDIS_REPLICATION_PASSWORD"):
        done = t.run("sh", t.path("docker/run-redis"), *files, "--port", "0",
                     environment={**SENTINEL_VARIABLES, name: ""}, check=False)
        assert done.returncode != 0 and f"{name}: choose a password" in done.stderr, done
    for name in ("REDIS_SENTINEL_PASSWORD", "SENTINEL_PASSWORD"):
        done = t.run("sh", t.path("docker/run-sentinel"), t.path("docker/sentinel-acl.conf"), "main", "x", "1", "2",
                     environment={**SENTINEL_VARIABLES, name: "", "SENTINEL_CONF": "/nonexistent"}, check=False)
        assert done.returncode != 0 and f"{name}: choose a password" in done.stderr, done


def healthcheck(t):
    """The command of the image's HEALTHCHECK."""
    text = read(t, "docker/Dockerfile").replace("\\\n", " ")
    return json.loads(re.search(r"^HEALTHCHECK .*?CMD (\[.*\])$", text, re.M)[1])


def test_the_images_health_check(t):
    frontend = t.frontend()
    port = str(frontend.address("web")[1])
    command = [word.replace("/8080", "/" + port) for word in healthcheck(t)]
    assert port in " ".join(command)
    assert t.run(*command, check=False).returncode == 0
    frontend.stop()
    assert t.run(*command, check=False).returncode != 0


def test_the_images_default_command(t):
    text = read(t, "docker/Dockerfile")
    program = json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.M)[1])
    arguments = [re.sub(r":\d+$", ":0", word) for word in json.loads(re.findall(r"^CMD (.*)$", text, re.M)[-1])]
    assert program == ["trackerd"]
    t.connect(("127.0.0.1", t.frontend(listen=(), arguments=arguments).address()[1]), Versioned).open(b"x")
    assert re.search(r"^USER tracker$", text, re.M)


def test_the_build_context_has_what_the_image_needs(t):
    """Every file that .dockerignore lets in exists; what the Makefile names is let in."""
    lines = [line for line in read(t, ".dockerignore").splitlines() if line]
    assert lines[0] == "*" and lines[-1] == "docker/.env"  # the passwords of docker-compose.yml
    kept = [line[1:] for line in lines if line[0] == "!"]
    assert all(os.path.exists(t.path(name)) for name in kept), kept
    assert {"Makefile", ".version", "cmd", "pkg", "docker", "docs", "tests/lint/packages"} <= set(kept)


def test_the_image_has_the_libraries_that_the_programs_need(t):
    """Every linked library is in the runtime group of install-packages."""
    listed = set(re.findall(r"^runtime +shared +(\S+)", read(t, "docker/install-packages"), re.M))
    needed = set()
    for name in os.listdir(os.path.join(t.build, "bin")):
        dynamic = t.run("readelf", "-d", t.program(name)).stdout
        needed |= set(re.findall(r"NEEDED.*\[(.*)\]", dynamic))
    # The sanitizers' are in no image.
    system = re.compile(r"lib(c|m|gcc_s|asan|ubsan|crypto)\.so\.|ld-linux")
    needed = {name for name in needed if not system.match(name)}
    assert needed, "nothing is linked"
    assert needed <= listed, f"not in the image: {needed - listed}"


def unit_file(t):
    """The unit as it is installed, with a program that exists."""
    directory = t.directory("unit")
    text = read(t, "docker/systemd/trackerd@.service")
    text = text.replace("@PREFIX@/bin/trackerd", t.program("trackerd"))
    path = os.path.join(directory, "trackerd@a.service")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path, text


def test_the_systemd_unit(t):
    path, text = unit_file(t)
    sections = re.findall(r"^\[(\w+)\]$", text, re.M)
    assert sections == ["Unit", "Service", "Install"], sections
    keys = dict(re.findall(r"^(\w+)=(.*)$", text, re.M))
    assert keys["Type"] == "notify" and keys["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert keys["DynamicUser"] == "yes" and int(keys["LimitNOFILE"]) >= 65536
    if shutil.which("systemd-analyze"):
        done = t.run("systemd-analyze", "verify", "--man=no", path, check=False)
        assert done.returncode == 0 and not done.stderr.strip(), done.stderr


def test_the_systemd_units_command_line(t):
    """The shell line chooses the instance's own file, then the common one, then none."""
    _, text = unit_file(t)
    line = re.search(r"^ExecStart=/bin/sh -c '(.*?)'$", text, re.M | re.S)[1]
    script = line.replace("\\\n", "").replace("$$", "$").replace("%i", "a")
    directory = t.directory("etc")
    script = script.replace("/etc/tracker", directory).replace(f"exec {t.program('trackerd')}", "exec echo")
    choices = []
    for name in (None, "trackerd.ini", "a.ini"):
        if name:
            with open(os.path.join(directory, name), "w", encoding="utf-8"):
                pass
        choices.append(t.run("/bin/sh", "-c", script).stdout.strip())
    assert choices == ["--node a", f"--node a --config {directory}/trackerd.ini",
                       f"--node a --config {directory}/a.ini"], choices
