"""How do others fare with the same stream, the same constraints and the same graph in the end?

Redpanda Connect as documented and in an expert's configuration, Bento as documented, FastStream
with the driver. They do less: no versions, so an old event overwrites a new one, and no link moves.
The two in Go are built here on the first run, in minutes; without Go they are left out, by name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

import data
import pipeline
import rig

from graphwriter.embedded.jars import cache

BUILT = ("redpanda", "bento")
PEERS = rig.BENCH / "peers"
EXPERTS = ("Redpanda Connect, expert", "FastStream and driver")
DOCUMENTED = ("Redpanda Connect, documented", "Bento, documented")


def ready() -> bool:
    """Whether every peer can be started without building it."""
    return all(program(name).exists() for name in BUILT) and bool(util.find_spec("faststream"))


def program(name: str) -> Path:
    """Return where the program of a peer in Go is, or will be."""
    return cache() / "peers" / name


def built(name: str) -> Path | None:
    """Return the program of a peer in Go, built if it is not there; None without Go."""
    found = program(name)
    if not found.exists():
        if not shutil.which("go"):
            print(f"no Go on this machine: {name} is left out")
            return None
        work = found.with_suffix(".build")
        shutil.copytree(PEERS / name, work, dirs_exist_ok=True)
        print(f"building {name}, once")
        for command in (["go", "mod", "tidy"], ["go", "build", "-trimpath", "-o", str(found)]):
            subprocess.run(command, cwd=work, check=True, capture_output=True)
    return found


def commands() -> dict[str, list[str]]:
    """Return the command of each peer that can be had on this machine."""
    found = {}
    if redpanda := built("redpanda"):
        for kind in ("expert", "documented"):
            config = str(PEERS / "redpanda" / f"{kind}.yaml")
            found[f"Redpanda Connect, {kind}"] = [str(redpanda), "run", config]
    if bento := built("bento"):
        found["Bento, documented"] = [str(bento), "-c", str(PEERS / "bento" / "documented.yaml")]
    if util.find_spec("faststream"):
        app = ["faststream", "run", "faststream_app:app", "--app-dir", str(PEERS)]
        found["FastStream and driver"] = [sys.executable, "-m", *app]
    else:
        print("no faststream installed: left out")
    return found


def contender(
    place: rig.Rig, lines: list[bytes], command: list[str], processes: int
) -> Callable[[], dict[str, Any]]:
    """Return a measurement of a peer; it is done when the graph has what it must have."""

    def measure() -> dict[str, Any]:
        place.wipe()
        place.fill(lines)
        numbered = [["env", f"CLIENT_ID=peer-{number}", *command] for number in range(processes)]
        return place.race(numbered, done=lambda: place.counts() == place.expected)

    return measure


def expected(place: rig.Rig, lines: list[bytes]) -> dict[str, int]:
    """Write `lines` through the pipeline, and return what the graph then has."""
    pipeline.contender(place, lines, 2)()
    return place.counts()


def main() -> None:
    """Measure every peer beside the pipeline, with as many processes."""
    question = __doc__.partition("\n")[0]
    options = rig.arguments(question, slow=(3_000, "events for those that write one by one"))
    with rig.Rig() as place:
        many = data.lines(options.events, options.seed, options.skew)
        few = data.lines(options.slow, options.seed, options.skew)
        known = commands()
        fast: dict[str, Callable[[], dict[str, Any]]] = {}
        for processes in (1, 4):
            fast[f"pipeline, {processes}"] = pipeline.contender(place, many, processes)
            for name in filter(known.__contains__, EXPERTS):
                fast[f"{name}, {processes}"] = contender(place, many, known[name], processes)
        place.expected = expected(place, many)
        found = rig.interleaved(fast, options.rounds)
        place.expected = expected(place, few)
        slow = {
            name: contender(place, few, known[name], 1)
            for name in filter(known.__contains__, DOCUMENTED)
        }
        found |= rig.interleaved(slow, options.rounds)
    figures: dict[str, Any] = {name: rig.median(found, name) for name in found}
    for processes in (1, 4):
        experts = [f"{name}, {processes}" for name in EXPERTS if name in known]
        if experts:
            best = max(experts, key=figures.__getitem__)
            figures[f"pipeline / {best}"] = rig.ratio(found, f"pipeline, {processes}", best)
    for name in filter(known.__contains__, DOCUMENTED):
        figures[f"pipeline / {name}"] = rig.ratio(found, "pipeline, 4", name)
    rig.save("peers", question, options, measurements=found, figures=figures)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
