"""What came of runs, in words and as a table."""
import collections

Result = collections.namedtuple("Result", "name seconds violations worst stalled")
COLUMNS = ("false offline", "false offline, own front-end", "ghost", "ghost after the outage")


def result_of(run):
    worst = {name: seconds for name, (seconds, _) in run.oracle.worst.items()}
    return Result(run.schedule.name, run.now(), [str(one) for one in run.oracle.violations], worst, run.slept)


def details(run):
    """Everything that is needed to see why; text."""
    lines = [str(run.schedule), f"What was done; 0 is {run.wall_clock}:"]
    lines += ["  " + " ".join(map(str, event)) for event in run.events]
    lines += ["Disturbances:"] + [f"  {one.begin:.2f} to {one.end:.2f} {one.what} {one.scope}"
                                  for one in run.disturbances.all]
    lines += ["Worst:"] + [f"  {name}: {seconds:.2f} s; {text}" for name, (seconds, text) in run.oracle.worst.items()]
    lines += [f"  {room}: {len(run.rooms.first[room])} messages, {len(stays)} stays, ended by "
              f"{dict(collections.Counter(one.why for one in stays))}" for room, stays in run.rooms.stays.items()]
    lines += [f"{len(run.oracle.violations)} violations:"] + [f"  {one}" for one in run.oracle.violations[:60]]
    shown = set()
    for one in run.oracle.violations[:20]:
        subject = run.views.subjects.get(one.about)
        client = getattr(subject, "client", None) or next((one_of for one_of in run.clients if one_of.name == one.about), None)
        clients = getattr(client, "devices", None) or [client]
        lines += [f"{one.about} as Redis published it: {text}" for text in run.watch.events[one.about][-12:]]
        if subject is not None:
            lines.append(f"{one.about}: present {subject.times}, homes {subject.homes}")
        for client in (*clients, one.view.client if one.view else None):
            if client is not None and client not in shown:
                shown.add(client)
                lines.append(f"{client.name}, {'the subject' if client in clients else 'the observer'}:")
                lines += ["    " + " ".join(map(str, note)) for note in list(client.history)[-60:]]
    return "\n".join(lines)


def table(results):
    """One line for each."""
    width = max([len(one.name) for one in results] + [8])
    lines = [f"{'':{width}}  seconds  violations  " + "  ".join(COLUMNS)]
    for one in results:
        worst = "  ".join(f"{one.worst.get(name, 0):{len(name) - 2}.2f} s" for name in COLUMNS)
        lines.append(f"{one.name:{width}}  {one.seconds:7.1f}  {len(one.violations):10}  {worst}")
    return "\n".join(lines)
