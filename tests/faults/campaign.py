"""The fault campaign: events with known ids, a pool of workers, a nemesis, and a ledger at the end.

    python tests/faults/campaign.py --faults 200 --events 100000 --seed 7
    python tests/faults/campaign.py --stream 'stream:posts:parsed:{0..3}'     # one pool for four

The seed decides the events and the faults, not the moment at which a fault meets the workers. All
servers are the campaign's own. What the streams hold in the end is the truth: the graph has to be
the reference model's of just these entries, the dead letters the ones that the model refuses.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import neo4j  # noqa: E402
import redis  # noqa: E402
from nemesis import FAULTS, Field, schedule  # noqa: E402
from support.model import Model, assert_same, read_graph  # noqa: E402
from support.names import GROUP, STREAM  # noqa: E402
from support.product import digest  # noqa: E402
from support.proxy import Proxy  # noqa: E402

from graphwriter import partitions  # noqa: E402
from graphwriter.embedded import Neo4j, Valkey  # noqa: E402
from graphwriter.producers.demo import demo  # noqa: E402
from graphwriter.stream import DeadLetters, connect, info  # noqa: E402

LEAST = 6  # faults of a run that time ends, on however slow a machine
PATIENCE = 120.0  # seconds for all to be written after a fault
CHUNK = 20  # entries of one request of the producer
PACE = 0.06  # seconds between two requests, so that faults meet events under way
DISK = "1536m"  # room for Neo4j's data
TRIMMED = re.compile(rb"(\d+) entries were trimmed before they were written")
Say = Callable[[str], None]


@dataclass
class Ledger:
    """What was done, and what became of it."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    # Stream and id of what Redis told the producer.
    acknowledged: set[tuple[str, bytes]] = field(default_factory=set)
    unknown: int = 0  # entries whose answer was lost: written or not
    slowest: tuple[float, str] = (0.0, "")  # seconds from a fault's end until all was written
    seconds: float = 0.0
    found: dict[str, int] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """Yield the ledger, for people."""
        yield f"seed {self.seed}: {self.faults.total()} faults in {self.seconds:.0f} s"
        for name, count in sorted(self.faults.items()):
            yield f"  {count:4}  {name}"
        yield f"  {len(self.acknowledged):,} entries acknowledged, {self.unknown:,} unknown"
        for name, number in self.found.items():
            yield f"  {number:,} {name}"
        yield "  all written again at most {:.1f} s after a fault ended: {}".format(*self.slowest)


def run(
    seed: int,
    faults: int,
    events: int,
    folder: Path,
    say: Say = lambda _: None,
    seconds: float | None = None,
    setting: str = STREAM,
) -> Ledger:
    """Run a campaign in `folder`; fail where anything is lost, doubled or wrong.

    `setting` names the streams; each name begins as the usual one. With `seconds` no fault after
    the first six begins later than that; the events that are left come then.
    """
    random = Random(seed)
    ledger = Ledger(seed)
    entries = demo.events(events, seed)
    with ExitStack() as stack:
        log = stack.enter_context((folder / "pool.log").open("ab"))
        disk = stack.enter_context(_small_disk(folder / "disk"))
        neo = stack.enter_context(Neo4j(data=folder / "disk" / "neo4j"))
        valkey = stack.enter_context(Valkey(data=folder / "valkey"))
        links = [Proxy(server.url).start() for server in (neo, valkey)]
        for link in links:
            stack.callback(link.stop)
        on = Field(random, neo, valkey, links[0], links[1], folder, log, disk=disk, setting=setting)
        on.clock.write_bytes(bytes(8))
        stack.callback(on.stop_pools)
        on.start_pool()
        start = time.monotonic()
        plan = schedule(random, faults)
        for number, name in enumerate(plan, 1):
            late = seconds is not None and time.monotonic() > start + seconds and number > LEAST
            share = events if late or number == faults else events // faults
            with _meanwhile(lambda share=share: _produce(on, ledger, islice(entries, share))):  # type: ignore[misc]
                if late:
                    break
                time.sleep(random.uniform(0.0, 0.5))
                FAULTS[name][1](on)
            ledger.faults[name] += 1
            took = ""
            if random.random() < 0.5:
                waited = _drain(on, name)
                ledger.slowest = max(ledger.slowest, (waited, name))
                took = f", all written {waited:.1f} s later"
            say(f"{number:4}  {name}{took}")
        _drain(on, "the last one")
        ledger.seconds = time.monotonic() - start
        on.pool.stop()
        _verify(on, ledger)
    return ledger


@contextmanager
def _small_disk(path: Path) -> Iterator[Path | None]:
    """Mount a disk of its own at `path`, in memory; None where this account may not."""
    path.mkdir()
    size = ["-o", f"size={DISK}"]
    mounted = subprocess.run(["mount", "-t", "tmpfs", *size, "none", path], capture_output=True)
    try:
        yield None if mounted.returncode else path
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", "--lazy", path], check=True)


@contextmanager
def _meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Do `work` in a thread during the block, and wait for it; raises what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised below
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(300)  # when time is over, all events that are left come at once
    assert not thread.is_alive(), "the producer is stuck"
    if raised:
        raise raised[0]


def _produce(on: Field, ledger: Ledger, entries: Iterator[Any]) -> None:
    """Add entries, past the link; note which Redis acknowledged. One that is unknown stays so."""
    with on.client() as client:
        while chunk := list(islice(entries, CHUNK)):
            pipe = client.pipeline(transaction=False)
            names = [partitions.of(on.streams, fields) for fields in chunk]
            for name, fields in zip(names, chunk, strict=True):
                pipe.xadd(name, fields)
            try:
                ids = pipe.execute(raise_on_error=False)
            except redis.RedisError:
                ids = []
                time.sleep(0.2)
            known = {one for one in zip(names, ids, strict=False) if isinstance(one[1], bytes)}
            ledger.acknowledged |= known
            ledger.unknown += len(chunk) - len(known)
            time.sleep(PACE)


def _drain(on: Field, after: str) -> float:
    """Wait until everything is written and acknowledged; return for how long."""
    start = time.monotonic()
    client = connect(on.valkey.url, STREAM)
    try:
        while not all(info.drained(client, name, GROUP) for name in on.streams):
            if time.monotonic() > start + PATIENCE:
                raise AssertionError(f"not all written {PATIENCE:g} s after {after}: {_state(on)}")
            time.sleep(0.05)
    finally:
        client.close()
    return time.monotonic() - start


def _state(on: Field) -> str:
    with on.client() as client:
        pending = [client.xpending(name, GROUP) for name in on.streams]
    return f"{pending}; {[(one.consumer, one.doing, one.error) for one in on.pool.workers()]}"


def _verify(on: Field, ledger: Ledger) -> None:
    """Hold streams, dead letters and graph against the model of what the streams hold."""
    model = Model(time.time, digest, rich=True)
    there: set[tuple[str, bytes]] = set()
    refused: set[tuple[str, bytes]] = set()
    letters: set[tuple[str, bytes]] = set()
    tries: dict[Any, Any] = {}
    with on.client() as client:
        for name in on.streams:
            entries: Any = client.xrange(name)
            there |= {(name, key) for key, _ in entries}
            refused |= {(name, key) for key, fields in entries if model.apply(fields, key.decode())}
            found = DeadLetters(client, name, GROUP).list()
            letters |= {(name, one.source_id.encode()) for one in found}
            left: Any = client.hgetall(f"{partitions.tagged(name)}:tries:{GROUP}")
            tries |= left
        missing = ledger.acknowledged - there - on.deleted
        assert not missing, f"Redis itself lost {len(missing)} entries that it acknowledged"
    # A body may have been refused by a worker and deleted after its group was made anew.
    assert refused <= letters <= refused | on.deleted
    assert not tries, f"tries that nobody forgot: {tries}"
    with neo4j.GraphDatabase.driver(on.neo4j.url) as driver:
        assert_same(model.graph(), read_graph(driver))
    log = (on.folder / "pool.log").read_bytes()
    assert b"Traceback" not in log, "a worker raised: see pool.log"
    ledger.found = {
        "entries in the stream": len(there),
        "posts in the graph": len(model.posts),
        "dead letters": len(letters),
        "entries deleted before they were written": len(on.deleted),
        "of these counted as lost by workers": sum(map(int, TRIMMED.findall(log))),
    }


def main() -> None:
    """Run one campaign and print its ledger."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=Random().randrange(10_000))
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--stream", default=STREAM, help="several, as GRAPH_WRITER_STREAM")
    parser.add_argument("--seconds", type=float, help="after six, begin no fault later")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="graphwriter-faults-"))
    print(f"seed {options.seed}, servers and logs in {folder}", flush=True)
    ledger = run(
        options.seed,
        options.faults,
        options.events,
        folder,
        say=lambda line: print(line, flush=True),
        seconds=options.seconds,
        setting=options.stream,
    )
    print(*ledger.lines(), "nothing lost, nothing doubled, nothing left over", sep="\n")


if __name__ == "__main__":
    main()
