"""A world of hosts that faults are done to, clients of all protocols in it, and an oracle.

    world.py       hosts, two Redis servers, three front-ends, HAProxy, and what can be done to them
    wire.py        connections that never block
    clients.py     what all clients have in common; tracker.py, sync.py, turntable.py: those of each protocol
    truth.py       what clients really did, and when something was wrong
    views.py       what observers were sent, held against the truth
    rooms.py       what members of rooms were sent
    redis_watch.py Redis's content, during the run and at its end
    schedule.py    what happens when: from a seed, or by name from scenarios.py
    run.py         the run of one schedule
    report.py      its results, as a table

The oracle knows nothing of front-ends but their names, and nothing of how they work: it holds what every
client was sent against what every client did, with the bounds of docs/operations.md.
"""
