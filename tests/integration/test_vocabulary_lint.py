"""The check of words (tests/lint/vocabulary) itself: what it must refuse, and what it must not."""
import re

# Put together here, so that this file does not hold them.
SPOKEN, ROUND, LATE = "to" + "ld", "tu" + "rn", "beh" + "ind"

LINES = [
    f"The client is {SPOKEN} of it.",
    f"void session_{SPOKEN}_once(void);",
    f"const ids{SPOKEN.capitalize()}Once = 1;",
    f"All of them in one {ROUND} of the loop.",
    f"A reader that is {LATE} gets the newest.",
    "The bold letters of a household.",
    f"It re{ROUND}s in {ROUND}, and {ROUND}s into a list.",
    f"The server is {LATE} a proxy.",
]


def test_which_words_are_refused(t):
    path = t.directory("words") + "/text.md"
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(LINES) + "\n")
    ran = t.run(t.path("tests/lint/vocabulary"), path, check=False)
    assert ran.returncode == 1, ran
    assert [int(number) for number in re.findall(r":(\d+): '", ran.stdout)] == [1, 2, 3, 4, 5], ran.stdout
