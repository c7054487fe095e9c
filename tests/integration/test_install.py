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


def test_the_library_links_with_what_pkg_config_says(t):
    """The whole archive, so that nothing of it is missing; and each header compiles alone."""
    root, version = install(t)
    with open(f"{root}/usr/lib/pkgconfig/tracker.pc", encoding="utf-8") as file:
        text = file.read()
    values = dict(re.findall(r"^([\w.]+) *[:=] *(.*)$", text, re.M))
    assert values["Version"] == version

    def words(key):
        line = values[key].replace("${libdir}", "${prefix}/lib").replace("${includedir}", "${prefix}/include")
        return line.replace("${prefix}", root + values["prefix"]).split()
    headers = sorted(glob.glob(f"{root}/usr/include/tracker/client/*.h"))
    assert headers, "no header of the client library"
    sanitize = ["-fsanitize=address,undefined"] if "asan" in os.path.basename(t.build) else []
    source = os.path.join(t.directory(), "program.c")
    for header in headers:
        with open(source, "w", encoding="utf-8") as file:
            file.write(f'#include "client/{os.path.basename(header)}"\nint main(void)\n{{\n    return 0;\n}}\n')
        t.run("gcc", "-std=c11", "-Wall", "-Werror", *sanitize, *words("Cflags"), source, "-o", source + ".out",
              "-Wl,--whole-archive", *words("Libs"), "-Wl,--no-whole-archive", *words("Libs.private"))
        assert t.run(source + ".out").returncode == 0
