"""The files in docker/ that no other test starts."""
import json
import os
import re
import shutil

from harness import Versioned
from harness.haproxy import Haproxy


def read(t, *parts):
    with open(t.path(*parts), encoding="utf-8") as file:
        return file.read()


class Yaml:
    """The part of YAML that the compose file keeps to: maps and lists by indentation, lists in
    brackets, quoted and plain text, one anchor per map and its merge. Anything else is an error."""

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
        found = {}
        while self.lines and self.lines[0][0] == indent:
            self.pair(indent, found)
        assert not self.lines or self.lines[0][0] < indent, f"indentation: {self.lines[0]}"
        return found

    def pair(self, indent, found):
        match = re.fullmatch(r"([\w.<-]+):(?: +(.*))?", self.lines.pop(0)[1])
        assert match and match[1] not in found, f"not understood: {match}"
        key, text = match[1], match[2] or ""
        anchor = re.fullmatch(r"&(\w+)", text)
        if key == "<<":
            found.update({**self.anchors[text[1:]], **found})
        elif text and not anchor:
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


def compose(t):
    return Yaml(read(t, "docker/docker-compose.yml")).parse()


def test_compose_is_one_redis_three_frontends_and_haproxy(t):
    services = compose(t)["services"]
    assert sorted(services) == ["a", "b", "c", "haproxy", "redis"]
    assert services["redis"]["image"] == "redis:7"
    assert "--maxmemory-policy noeviction" in " ".join(services["redis"]["command"])
    for name in "abc":
        service = services[name]
        assert service["build"]["dockerfile"] == "docker/Dockerfile"
        assert os.path.isfile(os.path.join(t.path("docker"), service["build"]["context"], "docker/Dockerfile"))
        assert service["depends_on"]["redis"]["condition"] == "service_healthy"
        assert service["command"][:2] == ["--node", name]


def test_compose_gives_haproxy_what_its_configuration_reads(t):
    services = compose(t)["services"]
    environment = services["haproxy"]["environment"]
    text = "\n".join(line for line in read(t, "docker/haproxy.cfg").splitlines() if not line.lstrip().startswith("#"))
    assert set(environment) == set(re.findall(r"\$\{(\w+)\}", text))
    for name in "ABC":
        command = services[environment[f"NODE_{name}_HOST"]]["command"]
        assert f"tracker=*:{environment[f'NODE_{name}_PORT']},proxy=true" in command
        assert f"web=*:{environment[f'NODE_{name}_WEB_PORT']}" in command
        assert f"sync=*:{environment[f'NODE_{name}_SYNC_PORT']},proxy=true" in command
    # With hosts that exist here, HAProxy takes the file as compose would give it.
    here = {key: "127.0.0.1" if key.endswith("_HOST") else value for key, value in environment.items()}
    assert Haproxy.check(t.path("docker/haproxy.cfg"), here) == ""


def test_a_compose_frontend_starts_with_its_command(t):
    """The very arguments, but for Redis's host and the ports."""
    redis = t.redis()
    command = compose(t)["services"]["a"]["command"]
    text = " ".join(command).replace("redis://redis:6379", redis.url)
    text = re.sub(r"=\*:\d+", "=127.0.0.1:0", text)
    frontend = t.frontend(listen=(), arguments=text.split())
    t.connect(frontend, Versioned, before=b"PROXY UNKNOWN\r\n").open(b"x")
    assert frontend.ready()


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
    assert lines[0] == "*"
    kept = [line[1:] for line in lines[1:]]
    assert all(os.path.exists(t.path(name)) for name in kept), kept
    assert {"Makefile", ".version", "cmd", "pkg", "docker", "docs", "tests/lint/packages"} <= set(kept)


def test_the_image_has_the_libraries_that_the_programs_need(t):
    """What is linked stands in the runtime group of install-packages."""
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
