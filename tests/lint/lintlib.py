"""What the checks share: the table of packages, the list of files, and compiler flags."""
import os
import subprocess
import sys

REPORTED = 40  # lines of one tool's output about one file
SOURCE_FOLDERS = ("pkg/", "cmd/", "tests/")


class Table:
    """tests/lint/packages, parsed; that file documents its lines."""

    def __init__(self, path="tests/lint/packages"):
        self.allowed = {}   # package or program -> packages that it may include
        self.packages = []  # in the order of their layers
        self.outside = {}   # header prefix -> the only one that may include it
        self.shared = []
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                words = line.split("#")[0].split()
                if words:
                    self.add(words[0], words[1:])

    def add(self, kind, words):
        if kind == "shared":
            self.shared += words
            return
        name, rest = words[0], words[1:]
        if kind == "outside":
            self.outside.update((prefix, name) for prefix in rest)
            return
        self.allowed[name] = rest
        if kind == "package":
            self.packages.append(name)

    def owner(self, path):
        """The package or program that a source file belongs to, by its folder; None for tests."""
        top, _, name = os.path.dirname(path).partition("/")
        return name if top in ("pkg", "cmd") else None

    def flags(self, path):
        """Compiler flags of a source file, as in the Makefile."""
        owner = self.owner(path)
        if owner is None:
            visible = self.packages
        else:
            visible = [owner] * path.startswith("pkg/") + self.allowed.get(owner, [])
        flags = ["-std=c11", "-D_GNU_SOURCE"]
        flags += [f"-Ibuild/include/{name}" for name in visible] + ["-Ibuild/gen"]
        return flags + ["-Itests/unit"] * (owner is None)


def files():
    """Every file of the project, committed or about to be."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"],
                            capture_output=True, check=False)
    if listed.returncode == 0:
        names = listed.stdout.decode().split("\0")
        return sorted({name for name in names if name and os.path.isfile(name)})
    found = []
    for folder, folders, names in os.walk("."):
        folders[:] = [f for f in folders if f not in (".git", "build", "node_modules")]
        found += [os.path.join(folder, name)[2:] for name in names]
    return sorted(found)


def sources(*endings):
    return [name for name in files()
            if name.startswith(SOURCE_FOLDERS) and name.endswith(endings)]


def report(name, offenders, note=""):
    """Prints the result of a check, and exits with it."""
    for text in offenders:
        print("\n".join(text.splitlines()[:REPORTED]))
    if not offenders:
        print(f"ok {name}" + (f" ({note})" if note else ""))
    sys.exit(1 if offenders else 0)
