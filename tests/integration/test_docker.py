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


def size(text):
    return int(re.match(r"\d+", text)[0]) << {"m": 20, "g": 30}[text[-1].lower() if text[-1] != "b" else text[-2]]


def test_compose_confines_every_service(t):
    """No capabilities, read-only, less memory than all; Redis refuses writes before it is killed."""
    services = read_compose(t)["services"]
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"] and "cap_add" not in service, name
        assert service["read_only"] == "true" and service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service and size(service["mem_limit"]) <= 1 << 30, name
        # What is mounted from here cannot be written.
        assert all(one.endswith(":ro") for one in service.get("volumes", []) if one[0] in "./"), name
    command = services["redis"]["command"]
    assert size(command[command.index("--maxmemory") + 1]) <= size(services["redis"]["mem_limit"]) // 2
    assert services["redis"]["user"] != "root"


def test_compose_publishes_the_public_ports_alone(t):
    haproxy = read_compose(t)["services"]["haproxy"]
    internal = haproxy["environment"]["INTERNAL_BIND"].split(":")[1]
    for one in haproxy["ports"]:
        assert one.startswith("127.0.0.1:") == one.endswith(":" + internal), one
    assert not any("ports" in service for name, service in read_compose(t)["services"].items() if name != "haproxy")


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
    for process in (world.redis, world.haproxy.process, *(one.process for one in world.frontends.values())):
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
    world.redis.signal(signal.SIGTERM)
    world.redis.wait()
    world.start_redis()
    assert "AOF-loading-client" not in world.redis.log, world.redis.log
    for frontend in world.frontends.values():
        t.wait_until(frontend.ready, 20, "it is ready again")
    reader = t.connect(world.haproxy.address("TRACKER_BIND"), Plain)
    t.wait_until(lambda: reader.get().keys() >= ids, 20, "the map is there again")


def test_redis_wants_both_passwords(t):
    for name in VARIABLES:
        environment = {**VARIABLES, name: ""}
        done = t.run("sh", t.path("docker/run-redis"), t.path("docker/redis-acl.conf"), "--port", "0",
                     environment=environment, check=False)
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
