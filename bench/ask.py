"""How fast are the questions? Each one over a large graph with hubs, while two workers write.

A post has 50,000 replies, a source 200,000 forwards. The address questions are asked for random
messages and for those hubs. Then: what do ten questions a second cost the writers?
"""

from __future__ import annotations

import itertools
import json
import random
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import data
import redis
import rig

from graphwriter import queries
from graphwriter.events import decode
from graphwriter.graph import Graph, schema
from graphwriter.graph.batch import fold
from graphwriter.queries.address import Address

REPLIES, FORWARDS = 0.05, 0.2  # of all posts: replies to one post, forwards from one source
HUB, SOURCE = -1009999999901, 9_999_999_902
PAGE = 2000
QUESTIONS: dict[str, Callable[[Graph, Address], Any]] = {
    "post": queries.context,
    "post, 1,000 tokens": lambda graph, address: queries.context(graph, address, budget=1000),
    "thread": queries.thread,
    "comments": queries.comments,
    "spread": queries.spread,
    "related": lambda graph, address: queries.related(graph, address.chat),
}
WHOLE: dict[str, Callable[[Graph], Any]] = {
    "channels": queries.channels,
    "wanted": queries.wanted,
    "wanted --channels": queries.wanted_channels,
    "coforward": queries.coforward,
    "sources": queries.sources,
    "authors": queries.authors,
}


def events(count: int) -> Iterator[dict[str, Any]]:
    """Yield the events of `data`, and among them a hub of replies and one of forwards."""
    yield from data.events(count - int(count * (REPLIES + FORWARDS)))
    base = {"schema_version": "v1", "idempotency_key": "k", "tenant_id": "bench", "channel_id": "h"}
    for number in range(int(count * REPLIES)):
        reply = {"reply_to_message_id": 1} if number else {}
        yield base | _post(HUB, number + 1) | reply
    for number in range(int(count * FORWARDS)):
        origin = {"forward_from_peer_id": {"channel_id": SOURCE}}
        yield base | _post(HUB - 1 - number % 500, number + 1) | origin


def _post(chat: int, message: int) -> dict[str, Any]:
    when = data.START + message
    return {
        "occurred_at": when,
        "posted_at": when,
        "tg_channel_id": chat,
        "telegram_message_id": message,
        "post_id": f"{chat}:{message}",
    }


def fill(graph: Graph, count: int) -> list[Address]:
    """Write the graph, and return a sample of its addresses."""
    chance, sample = random.Random(1), []
    told = iter(events(count))
    while page := list(itertools.islice(told, PAGE)):
        graph.write(fold([decode({b"data": json.dumps(e).encode()}, 2**42) for e in page]))
        one = chance.choice(page)
        sample.append(Address(one["tg_channel_id"], one["telegram_message_id"]))
    return sample


@contextmanager
def writing(place: rig.Rig, seed: int) -> Iterator[Callable[[], int]]:
    """Keep two workers busy with new events; gives a function that says how many are written."""
    client = redis.Redis.from_url(place.valkey.url)
    client.delete(rig.STREAM)
    stop = threading.Event()
    lines = data.lines(400_000, seed, 1.1)

    def feed() -> None:
        for number, line in enumerate(lines):
            client.xadd(rig.STREAM, {"data": line}, maxlen=50_000, approximate=True)
            while number % 500 == 0 and not stop.is_set() and _unread(client) > 10_000:
                time.sleep(0.02)
            if stop.is_set():
                return

    run = Path(tempfile.mkdtemp(dir=place.folder))
    workers = [
        subprocess.Popen(command, env=place.environ(run), stderr=subprocess.DEVNULL)
        for command in rig.workers(2)
    ]
    feeder = threading.Thread(target=feed)
    try:
        place.until(lambda: place.reading() >= 2, workers, run)
        feeder.start()
        yield lambda: int(client.xinfo_groups(rig.STREAM)[0]["entries-read"] or 0)
    finally:
        stop.set()
        feeder.join()
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(30)


def _unread(client: redis.Redis) -> int:
    return int(client.xinfo_groups(rig.STREAM)[0]["lag"] or 0)


def times(ask: Callable[[Address], Any], asked: Iterable[Address]) -> list[float]:
    """Return how long each question took, in milliseconds."""
    found = []
    for address in asked:
        start = time.perf_counter()
        ask(address)
        found.append((time.perf_counter() - start) * 1000)
    return found


def summary(found: list[float]) -> dict[str, float]:
    """Return p50, p95 and the longest."""
    ordered = sorted(found)
    p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return {"p50": round(statistics.median(ordered), 2), "p95": round(p95, 2),
            "longest": round(ordered[-1], 2)}  # fmt: skip


def _whole(ask: Callable[[Graph], Any], graph: Graph) -> Callable[[Address], Any]:
    return lambda _: ask(graph)


def cost(place: rig.Rig, graph: Graph, sample: list[Address], rounds: int) -> list[float]:
    """Return the ratios of the writers' rate with ten questions a second to that without."""
    chance, ratios = random.Random(2), []
    kinds = itertools.cycle(QUESTIONS.values())
    with writing(place, 3) as written:
        time.sleep(5)
        for number in range(rounds):
            rates = {}
            for asking in (True, False) if number % 2 else (False, True):
                start, before = time.perf_counter(), written()
                while time.perf_counter() - start < 8:
                    if asking:
                        next(kinds)(graph, chance.choice(sample))
                    time.sleep(0.1)
                rates[asking] = (written() - before) / (time.perf_counter() - start)
            ratios.append(round(rates[True] / rates[False], 3))
    return ratios


def main() -> None:
    """Fill a graph, ask, and tell how long it takes."""
    question = __doc__.partition("\n")[0]
    options = rig.arguments(
        question, events=(1_000_000, "posts"), skew=None, seed=None,
        asks=(200, "times that each question about a message is asked"),
    )  # fmt: skip
    with rig.Rig(heap="3g", pagecache="2g") as place:
        schema.apply_reading(place.graph)
        sample = fill(place.graph, options.events)
        place.graph.run("CALL db.awaitIndexes(600)")
        hubs = {"50,000 replies": Address(HUB, 1), "a chat of it": Address(HUB - 1, 501)}
        found: dict[str, Any] = {}
        with Graph(place.neo4j.url, timeout=300) as graph:
            chance = random.Random(4)
            for ask in QUESTIONS.values():
                times(partial(ask, graph), chance.choices(sample, k=20))
            for kind, ask in QUESTIONS.items():
                some = chance.choices(sample, k=options.asks)
                found[f"{kind}, idle"] = summary(times(partial(ask, graph), some))
            with writing(place, 2):
                for kind, ask in QUESTIONS.items():
                    some = chance.choices(sample, k=options.asks)
                    found[kind] = summary(times(partial(ask, graph), some))
                    for name, hub in hubs.items():
                        several = [hub] * (options.asks // 10)
                        found[f"{kind}: {name}"] = summary(times(partial(ask, graph), several))
                for kind, whole in WHOLE.items():
                    found[kind] = summary(times(_whole(whole, graph), [Address(0, 0)] * 2))
            ratios = cost(place, graph, sample, options.rounds)
    figures = {kind: f"p50 {f['p50']} ms, p95 {f['p95']} ms" for kind, f in found.items()}
    figures["writers beside ten questions a second / without"] = str(statistics.median(ratios))
    listed = {kind: [one] for kind, one in found.items()}
    rig.save("ask", question, options, measurements=listed, ratios=ratios, figures=figures)


if __name__ == "__main__":
    main()
