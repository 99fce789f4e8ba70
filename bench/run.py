"""Runs the scripts, short or full, one after another, and writes the report.

    python bench/run.py short    under ten minutes on two cores; two rounds, so hints only
    python bench/run.py full     about two hours; the figures that are quoted

A peer in Go that is not built is left out of the short run, and named.
"""

from __future__ import annotations

import subprocess
import sys
import time

import peers
import rig

SHORT = {
    "ceiling": "--events 8000 --rounds 1",
    "pipeline": "--events 8000 --rounds 2",
    "baseline": "--events 500 --rounds 2",
    "latency": "--rates 100,500,2000 --seconds 4 --rounds 1",
    "stages": "--events 8000 --rounds 2",
    "memory": "--events 4000 --rounds 1",
    "orders": "--events 6000 --rounds 2",
    "backfill": "--events 6000 --rounds 2 --long 0",
    "ask": "--events 20000 --asks 20 --rounds 1",
    "peers": "--events 5000 --slow 500 --rounds 1",
}
FULL = {
    "ceiling": "",
    "pipeline": "--batches 250,500,2000,4000",
    "baseline": "",
    "latency": "",
    "stages": "",
    "memory": "",
    "orders": "",
    "backfill": "",
    "peers": "",
    "gate": "",
    "overlap": "",
    "server": "",
    "growth": "",
    "ask": "",
    "streams": "--events 30000",
}


def main(kind: str) -> int:
    """Run all of a kind; return how many failed. A failed one leaves its last answer as it was."""
    chosen = dict({"short": SHORT, "full": FULL}[kind])
    if kind == "short" and not peers.ready():
        print("peers: not built, left out; python bench/peers.py builds them")
        del chosen["peers"]
    failed = 0
    for name, options in chosen.items():
        print(f"{name} {options}", flush=True)
        start = time.monotonic()
        command = [sys.executable, str(rig.BENCH / f"{name}.py"), *options.split()]
        failed += subprocess.run(command, check=False).returncode != 0
        print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
    failed += subprocess.run([sys.executable, str(rig.BENCH / "report.py")], check=False).returncode
    return failed


if __name__ == "__main__":
    if sys.argv[1:] not in (["short"], ["full"]):
        sys.exit(f"{__doc__}")
    sys.exit(bool(main(sys.argv[1])))
