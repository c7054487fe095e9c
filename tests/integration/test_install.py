"""What `make install` brings is whole: programs that start, a library that links."""
import glob
import os
import re


def install(t):
    destination = t.directory("root")
    with open(t.path(".version"), encoding="ascii") as file:
        version = file.read().strip()
    t.run(t.path("docker/install-files"), destination, "/usr", t.build, version)
    return destination, version


def test_programs_and_pages(t):
    root, version = install(t)
    programs = sorted(os.listdir(f"{root}/usr/bin"))
    assert programs == ["tracker-bench", "trackerctl", "trackerd"], programs
    for name in programs:
        assert name in t.run(f"{root}/usr/bin/{name}", "--help").stdout
        assert glob.glob(f"{root}/usr/share/man/man?/{name}.?"), name
    for name in ("trackerctl", "trackerd"):
        assert version in t.run(f"{root}/usr/bin/{name}", "--version").stdout


def test_unit_and_sample(t):
    root, _ = install(t)
    with open(f"{root}/usr/lib/systemd/system/trackerd@.service", encoding="utf-8") as file:
        unit = file.read()
    assert "/usr/bin/trackerd --node" in unit and "@PREFIX@" not in unit
    with open(f"{root}/etc/tracker/trackerd.ini", encoding="utf-8") as file:
        assert file.read() == t.run("trackerd", "--sample").stdout


def test_an_existing_configuration_is_kept(t):
    root, version = install(t)
    with open(f"{root}/etc/tracker/trackerd.ini", "w", encoding="utf-8") as file:
        file.write("# mine\n")
    t.run(t.path("docker/install-files"), root, "/usr", t.build, version)
    with open(f"{root}/etc/tracker/trackerd.ini", encoding="utf-8") as file:
        assert file.read() == "# mine\n"


class Compiler:
    """Programs against an installed library, by what its pkg-config file says."""

    def __init__(self, t):
        self.t = t
        self.root, version = install(t)
        with open(f"{self.root}/usr/lib/pkgconfig/tracker.pc", encoding="utf-8") as file:
            self.values = dict(re.findall(r"^([\w.]+) *[:=] *(.*)$", file.read(), re.M))
        assert self.values["Version"] == version

    def words(self, key):
        line = self.values[key].replace("${libdir}", "${prefix}/lib").replace("${includedir}", "${prefix}/include")
        return line.replace("${prefix}", self.root + self.values["prefix"]).split()

    def compile(self, text, whole=False):
        """The path of the program. whole: with all of the archive, so that nothing that it needs is missing."""
        sanitize = ["-fsanitize=address,undefined"] if self.t.sanitized else []
        source = os.path.join(self.t.directory(), "program.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        library = ["-Wl,--whole-archive", *self.words("Libs"), "-Wl,--no-whole-archive"] if whole else self.words("Libs")
        self.t.run("gcc", "-std=c11", "-Wall", "-Werror", *sanitize, *self.words("Cflags"), source, "-o", source + ".out",
                   *library, *self.words("Libs.private"))
        return source + ".out"


def test_the_library_links_with_what_pkg_config_says(t):
    """And each header compiles alone."""
    compiler = Compiler(t)
    headers = sorted(glob.glob(f"{compiler.root}/usr/include/tracker/client/*.h"))
    assert headers, "no header of the client library"
    for header in headers:
        program = compiler.compile(f'#include "client/{os.path.basename(header)}"\nint main(void)\n{{\n    return 0;\n}}\n',
                                   whole=True)
        assert t.run(program).returncode == 0


CLIENT = """
#include <client/tracker_client.h>
#include <stdio.h>
#include <tls/tls.h>

static struct tracker_client *client;
static bool done;

static void connected(void *arg, bool again)
{
    tracker_client_open(client, (struct bytes){(const uint8_t *)"hello", 5});
}

static void opened(void *arg, struct bytes id, bool adopted)
{
    printf("%.*s\\n", (int)id.len, (const char *)id.data);
    done = true;
}

int main(int argc, char **argv)
{
    static const struct tracker_client_events events = {.connected = connected, .opened = opened};
    struct tracker_client_options options = {.target = argv[1], .dialect = TRACKER_VERSIONED};
    struct loop *loop = loop_create();
    char *error = NULL;
    client = tracker_client_create(loop, &options, &events, NULL, &error);
    if (!client)
        return 1;
    tracker_client_start(client);
    while (!done)
        loop_iterate(loop, 100);
    tracker_client_destroy(&client);
    loop_destroy(&loop);
    return 0;
}
"""


def test_a_client_can_be_written_with_the_library(t):
    redis = t.redis()
    frontend = t.frontend(redis)
    program = Compiler(t).compile(CLIENT)
    id = t.run(program, frontend.where()).stdout.strip()
    assert redis.hash(f"tracker:{{main/1/0}}:client:{id}")[b"state"] == b"hello"
