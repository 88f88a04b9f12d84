"""`recodex-monitor status`: the state of a running monitor, or of one of its jobs."""

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from recodex_monitor.status.diagnosis import span
from recodex_monitor.tools import status_watch
from recodex_monitor.tools.status_client import CannotAsk, ask, find_target
from recodex_monitor.tools.terminal import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `recodex-monitor status`."""
    parser.description = (
        "Show the state of the running monitor, or of one job and why a student may see no "
        "progress of it."
    )
    parser.epilog = "Exit codes: 0 the monitor has answered, 1 it has not, 2 wrong usage."
    parser.add_argument("job", nargs="?", metavar="ID", help="the id of a job")
    text = "the address of its status page (default: status_uri of the settings)"
    parser.add_argument("--url", help=text)
    text = "the token for it (default: status_token of the settings)"
    parser.add_argument("--token", help=text)
    status_watch.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run `recodex-monitor status` and return its exit code."""
    if not arguments.watch and (arguments.state or arguments.text or arguments.sort != "urgent"):
        text = "--state, --text and --sort choose among the jobs that --watch lists; add --watch"
        print(f"recodex-monitor status: {text}", file=sys.stderr)
        return 2
    path = "/api/status"
    if arguments.job is not None:
        # Bytes of the command line that are not UTF-8 are sent as they are.
        path = f"/api/channels/{quote(arguments.job, '', errors='surrogateescape')}"
    arguments.path = path
    try:
        if arguments.watch:
            status_watch.watch(arguments, of_job)
            return 0
        told = ask(find_target(arguments), path)
    except CannotAsk as error:
        lines = f"recodex-monitor status: {error}".split("\n")
        print("\n".join(map(printable, lines)), file=sys.stderr)
        return 1
    lines = of_monitor(told) if arguments.job is None else of_job(told)
    print("\n".join(map(printable, lines)))
    return 0


def of_monitor(told: dict[str, Any]) -> list[str]:
    """Lines about a monitor, from its answer to /api/status."""
    states, totals = told["channels"], told["totals"]
    lines = [
        f"version    {told['settings'].get('version', '')}, up for {span(told['uptime'])}",
        f"broker     {_broker_of(told)}",
        f"channels   {_listed(states)}",
        f"followers  {told['followers']}, of them {told['slow']} slow",
        f"so far     {totals['messages']} messages, {totals['deliveries']} deliveries",
        f"process    {told['memory'] >> 20} MB, {told['open_files']} open files",
    ]
    for heading, counts in (
        ("ended", told.get("outcomes", told["ends"])),
        ("dropped", told["dropped"]),
        ("limits", told["limits"]),
    ):
        if any(counts.values()):
            lines.append(f"{heading:10} {_listed(counts)}")
    return [*lines, *_cluster(told.get("cluster")), *_refused_origins(told), *_hints(told)]


def _cluster(told: dict[str, Any] | None) -> Iterator[str]:
    if told is None:
        return
    engine = told["engine"]
    away = f"away for {span(engine['away'])}"
    memory = f"{engine['memory'] / 2**20:.1f} MB"
    up = f"{engine['version']}, {memory}, {engine['replicas']} replicas"
    yield f"engine     {engine['address']}, {up if engine['up'] else away}"
    for one in told["nodes"]:
        waiting = f", {one['pending']} messages wait for the engine" if one["pending"] else ""
        unread = f", {one['unread']} channels not read yet" if one["unread"] else ""
        this = " (this one)" if one["name"] == told["node"] else ""
        about = f"{one['role']} for {span(one['for'])}, {one['followers']} followers"
        about += f", version {one['version']}{waiting}{unread}"
        yield f"node       {one['name']}{this}: {about}"


def _refused_origins(told: dict[str, Any]) -> Iterator[str]:
    for one in told.get("refused_origins", ()):
        ago = span(told["now"] - one["last"])
        yield f"refused    {one['count']} from pages of {one['origin']}, the last {ago} ago"


def _broker_of(told: dict[str, Any]) -> str:
    cluster = told.get("cluster")
    if cluster is None or cluster["owner"] == cluster["node"]:
        return _broker(told["broker"], told["now"])
    if cluster["owner"] is None:
        return "is not connected: no node owns"
    nodes = {one["name"]: one for one in cluster["nodes"]}
    owner = nodes.get(cluster["owner"], {"name": cluster["owner"], "broker": False})
    return f"is {'' if owner['broker'] else 'not '}connected to {owner['name']}, which owns"


def _broker(broker: dict[str, Any], now: float) -> str:
    if not broker["connected"]:
        return f"is not connected at {broker['address']}"
    last = f", last message {span(now - broker['last'])} ago" if broker["last"] else ""
    return f"connected for {span(now - broker['since'])}{last}"


def _listed(counts: dict[str, Any]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"


def of_job(told: dict[str, Any], last: int = status_watch.LAST) -> list[str]:
    """Lines about a job and this many of its messages, from the answer to /api/channels/ID."""
    lines = [told["id"], told["going_on"], *_times(told)]
    if told["timeline"]:
        lines += ["", f"attempt {told['attempts']}: {_listed(told['tasks'])}"]
    timeline = told["timeline"]
    before = told["omitted"] + max(0, len(timeline) - last)
    if before:
        lines.append(f"  ({before} messages before these)")
    lines += [f"  {_when(one['at'])}  {_message(one)}" for one in timeline[-last:]]
    lines += ["", f"followers: {told['followers']}{_followed(told)}", *_followers(told)]
    lines += _hints(told) or ["", "The monitor sees nothing that is wrong."]
    advice = told.get("advice")
    return [*lines, "", f"To tell the student: {advice}"] if advice else lines


def _times(told: dict[str, Any]) -> Iterator[str]:
    """When it ended and was removed, as far as the monitor knows."""
    for name, key in (("ended", "ended_at"), ("removed", "forgotten_at")):
        at = told.get(key)
        if at is not None:
            yield f"{name:7} {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(at))}"


def _followed(told: dict[str, Any]) -> str:
    count = told.get("followed", 0)
    return f", {count} so far" if count > told["followers"] else ""


def _when(at: float | None) -> str:
    if at is None:
        return "before the restart"
    return f"{time.strftime('%H:%M:%S', time.localtime(at))}.{int(at * 10) % 10}"


def _message(one: dict[str, Any]) -> str:
    keys = ("command", "task_id", "task_state")
    return " ".join(str(one[key])[:80] for key in keys if key in one)


def _followers(told: dict[str, Any]) -> Iterator[str]:
    for one in told["readers"]:
        since, behind = span(told["now"] - one["since"]), one["behind"]
        address = f", {one['address']}" if one.get("address") else ""
        late = f"{behind} bytes behind" if behind else "has got all"
        yield f"  {one['transport']} for {since}, {late}{address}"


def _hints(told: dict[str, Any]) -> list[str]:
    hints = [f"  {one['cause']}: {one['text']} {one.get('remedy', '')}" for one in told["hints"]]
    hints = [hint.rstrip() for hint in hints]
    return ["", "Why students may see no progress:", *hints] if hints else []
