"""The soak: one worker over a million events; memory, descriptors and pending entries stay flat.

    python tests/faults/soak.py --events 1000000

Servers are the soak's own, and the stream is trimmed behind the worker as a producer would.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import psutil  # noqa: E402
import redis  # noqa: E402
from support.names import GROUP, STREAM  # noqa: E402
from support.waits import until  # noqa: E402

from graphwriter.embedded import Neo4j, Valkey  # noqa: E402
from graphwriter.producers.demo import demo  # noqa: E402
from graphwriter.producers.demo.entries import Fields  # noqa: E402
from graphwriter.stream import Stream, info  # noqa: E402

SHARE = 100_000  # events between two lines; the first share is the worker's to warm up
AHEAD = 20_000  # entries that the producer may be ahead
CHUNK = 500  # entries of one request
FLAT = 1.05  # most that memory may be of what it was after the first share
BATCH = 1000


class Stretch(NamedTuple):
    """What was seen of the worker over one share of the events."""

    rate: float  # events a second
    resident: float  # bytes, the median
    descriptors: float  # the median: a heartbeat that is being written has one more
    pending: int  # entries, the most


def run(events: int, folder: Path) -> list[Stretch]:
    """Run a soak in `folder`, print a line a share, and return what was seen."""
    seen = []
    with (
        Neo4j(data=folder / "neo4j", heap="2g") as neo,
        Valkey(data=folder / "valkey") as valkey,
        redis.Redis.from_url(valkey.url) as client,
        (folder / "worker.log").open("ab") as log,
    ):
        environ = os.environ | {
            "REDIS_URL": valkey.url,
            "NEO4J_URI": neo.url,
            "GRAPH_WRITER_RUN_DIR": str(folder),
            "GRAPH_WRITER_BATCH_SIZE": str(BATCH),
        }
        command = [sys.executable, "-m", "graphwriter", "worker", "--consumer-name", "soak"]
        process = subprocess.Popen(command, env=environ, stderr=log)
        stream = Stream(valkey.url, STREAM, GROUP, "test")
        try:
            entries = demo.events(events)
            while share := list(islice(entries, SHARE)):
                seen.append(_stretch(share, stream, client, psutil.Process(process.pid)))
                rate, resident, descriptors, pending = seen[-1]
                print(
                    f"{len(seen) * SHARE:>10,} events  {rate:6,.0f}/s  {resident / 1e6:5.1f} MB  "
                    f"{descriptors:g} descriptors  {pending:,} pending at most",
                    flush=True,
                )
        finally:
            stream.close()
            process.terminate()
            assert process.wait(60) == 0
    return seen


def _stretch(
    share: list[Fields], stream: Stream, client: redis.Redis, worker: psutil.Process
) -> Stretch:
    """Publish a share as the worker takes it, and look at the worker all the while."""
    start = time.monotonic()
    resident, descriptors, pending = [], [], 0
    for begin in range(0, len(share), CHUNK):
        pipe = client.pipeline(transaction=False)
        for fields in share[begin : begin + CHUNK]:
            pipe.xadd(STREAM, fields)  # type: ignore[arg-type]
        pipe.execute()
        resident.append(worker.memory_info().rss)
        descriptors.append(worker.num_fds())
        until(lambda: _left(client) < AHEAD, 600)
        if _left(client) < SHARE:  # the group is there
            pending = max(pending, client.xpending(STREAM, GROUP)["pending"])
    until(lambda: info.drained(stream.client, stream.name, stream.group), 600)
    client.xtrim(STREAM, maxlen=0)
    rate = len(share) / (time.monotonic() - start)
    return Stretch(rate, median(resident), median(descriptors), pending)


def _left(client: redis.Redis) -> int:
    """How many entries the worker has not read yet."""
    groups = client.xinfo_groups(STREAM)
    return int(groups[0]["lag"]) if groups else SHARE


def main() -> None:
    """Run one soak and say whether all stayed flat."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    folder = Path(tempfile.mkdtemp(prefix="graphwriter-soak-"))
    print(f"servers and logs in {folder}", flush=True)
    first, *rest = run(parser.parse_args().events, folder)[1:]
    assert rest, f"give more than {2 * SHARE:,} events"
    for one in rest:
        assert one.resident <= first.resident * FLAT, "memory grows"
        assert one.descriptors <= first.descriptors, "descriptors grow"
        assert one.pending <= 2 * BATCH, "more is pending than a batch and the one read ahead"
    print("memory, descriptors and pending entries stayed flat")


if __name__ == "__main__":
    main()
