"""docs/capacity.json, which tests/bench/capacity.py writes, and what the documents have of it."""
import json


def test_the_documented_capacity_is_the_measured_one(t):
    with open(t.path("docs/capacity.json"), encoding="utf-8") as file:
        capacity = json.load(file)
    assert all(capacity[thing][name] >= 0 for thing, name in
               (("connection", "frontend_bytes"), ("change", "redis_us"), ("delivery", "frontend_us"), ("entry", "redis_bytes")))
    table = t.run(t.path("tests/bench/capacity.py"), "--table").stdout
    with open(t.path("docs/operations.md"), encoding="utf-8") as file:
        text = file.read()
    assert table in text, f"docs/operations.md needs this table:\n{table}"
    assert f"Release {capacity['release']} on {capacity['machine']}" in " ".join(text.split())
