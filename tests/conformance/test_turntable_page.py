"""A page that speaks turntable as the original program's page does, in headless Chromium."""
from harness.node import run_script

def browse(t, check):
    frontend = t.frontend(t.redis(), listen=("web=127.0.0.1:0", "turntable=127.0.0.1:0"))
    run_script(t, "turntable_page.mjs", check, "ws://%s:%d/" % frontend.address("turntable"))


def test_ids_that_are_names(t):
    browse(t, "names")


def test_ids_that_are_numbers(t):
    browse(t, "numbers")
