"""The check of the packages (tests/lint/includes) itself: what it must refuse, and what it must not."""
import os

FILES = {
    "tests/lint/packages": "package base\npackage net base\npackage net/http net base\nprogram serve net/http base\n",
    "docs/architecture.md": "# Layout\n\n## Packages\n\n| base | bytes | – | – |\n| net | listeners | base | – |\n"
                            "| net/http | requests | all of the above | – |\n\n| serve | net/http, base |\n\n## More\n",
    "pkg/base/bytes.h": "#include <string.h>",
    "pkg/base/bytes.c": '#include "base/bytes.h"',
    "pkg/net/conn.h": '#include "base/bytes.h"',
    "pkg/net/conn_private.h": "",
    "pkg/net/http/http.c": '#include "net/http/http.h"\n#include "net/conn.h"',
    "pkg/net/http/http.h": "",
    "cmd/serve/main.c": '#include "base/bytes.h"\n#include "net/http/http.h"',
    "tests/unit/net/http/test_http.c": '#include "net/conn_private.h"',
}
# What is changed, and a part of what must be said of it.
BAD = [
    ({"pkg/net/conn.c": '#include "net/conn.h"\n#include "net/http/http.h"'}, "pkg/net/conn.c:2: net may not include net/http"),
    ({"pkg/net/http/http.h": '#include "net/conn_private.h"'}, "net/conn_private.h is private to net"),
    ({"pkg/net/http/http.c": '#include "net/conn.h"'}, "pkg/net/http/http.c: includes net/http/http.h not first"),
    ({"cmd/serve/main.c": '#include "net/conn.h"'}, "serve may not include net"),
    ({"pkg/net/udp/udp.c": ""}, "pkg/net/udp is not in tests/lint/packages"),
    ({"cmd/other/main.c": ""}, "cmd/other is not in tests/lint/packages"),
    ({"tests/lint/packages": FILES["tests/lint/packages"] + "package map base\n"}, "pkg/map has no sources"),
    ({"tests/lint/packages": "package base net\npackage net base\npackage net/http net base\nprogram serve net/http base\n"},
     "tests/lint/packages: cycle: base -> net -> base"),
    ({"tests/lint/packages": "package base\npackage net/http net base\npackage net base\nprogram serve net/http base\n"},
     "tests/lint/packages: net is not above net/http"),
    ({"tests/lint/packages": "package base\npackage net base\npackage net/http net\nprogram serve net/http base\n"},
     "docs/architecture.md: net/http may include net"),
    ({"docs/architecture.md": FILES["docs/architecture.md"].replace("| net | listeners | base | – |\n", "")},
     "its packages differ from tests/lint/packages: net"),
    ({"pkg/net/conn.h": "", "pkg/net/http/http.c": '#include "net/http/http.h"\n#include "net/conn.h"'},
     "tests/lint/packages: net includes no header of base: drop it from its row"),
    ({"pkg/net/http/http.c": '#include "net/http/http.h"'}, "net/http includes no header of net: drop it from its row"),
    ({"pkg/base/a.h": '#include "base/b.h"', "pkg/base/b.h": '#include "base/a.h"'}, "cycle: pkg/base/"),
    ({"tests/unit/nets/test_x.c": ""}, "tests/unit/nets/test_x.c: nets is not a package"),
]


def check(t, changes):
    directory = t.directory()
    for path, content in {**FILES, **changes}.items():
        path = os.path.join(directory, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
    return t.run("/bin/sh", "-c", 'cd "$0" && exec "$1"', directory, t.path("tests/lint/includes"), check=False)


def test_what_is_good(t):
    result = check(t, {})
    assert result.returncode == 0 and result.stdout.startswith("ok includes"), result.stdout + result.stderr


def test_what_is_refused(t):
    for changes, why in BAD:
        result = check(t, changes)
        assert result.returncode == 1 and why in result.stdout, (changes, result.stdout, result.stderr)
