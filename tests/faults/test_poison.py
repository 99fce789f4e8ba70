"""Every kind of odd event, one in a hundred among good ones, through a real pool."""

from __future__ import annotations

import json
import time
from itertools import islice
from pathlib import Path
from typing import Any

import neo4j
import pytest
import redis
from nemesis import HOOKS
from support.cases import BASE, CASES, a
from support.model import Model, assert_same, read_graph
from support.names import GROUP, STREAM
from support.product import decode, digest
from support.waits import until

from graphwriter.config import load
from graphwriter.producers.demo import demo
from graphwriter.stream import DeadLetters, Stream, info
from graphwriter.worker.pool import Pool

FATAL = "this one ends its worker"


def _planted(entries: Any) -> list[Any]:
    """An odd entry before every hundred good ones; in their midst one that kills its worker."""
    here = decode(a()).address  # elsewhere a case would claim the post_id of those here
    odd: list[Any] = [
        case.fields for case in CASES if case.refusal or decode(case.fields).address == here
    ]
    odd.insert(len(odd) // 2, {"data": json.dumps(BASE | {"post_id": FATAL})})
    return [fields for one in odd for fields in (one, *islice(entries, 100))]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_odd_events_stop_no_worker_and_no_good_event(
    pool_environ: dict[str, str],
    redis_client: redis.Redis,
    graph_empty: neo4j.Driver,
    tmp_path: Path,
) -> None:
    """All good ones are written, each refused one is a letter, and the workers are as before."""
    environ = pool_environ | {
        "PYTHONPATH": str(HOOKS),
        "CRASH_ON": FATAL,
        "GRAPH_WRITER_WORKERS": "2",
    }
    config = load(environ)
    model = Model(time.time, digest)
    expected = {}
    entries = _planted(demo.events(110 * len(CASES)))
    pipe = redis_client.pipeline(transaction=False)
    for fields in entries:
        pipe.xadd(STREAM, fields)
    for fields, added in zip(entries, pipe.execute(), strict=True):
        key = added.decode()
        if FATAL in str(fields):
            expected[key] = "deliveries"
        elif model.apply(fields, key):
            expected[key] = ""
    with (tmp_path / "pool.log").open("ab") as log:
        pool = Pool(config, config.directory(), environ, log)
        pool.start(60)
        stream = Stream(environ["REDIS_URL"], STREAM, GROUP, "test")
        try:
            until(lambda: info.drained(stream.client, stream.name, stream.group), 240)
            assert len(pool.workers()) == 2
            assert pool.alive
        finally:
            pool.stop()
            stream.close()
    letters = {one.source_id: one.reason for one in DeadLetters(redis_client, STREAM, GROUP).list()}
    assert letters.keys() == expected.keys(), letters
    assert {key for key, reason in letters.items() if reason == "deliveries"} == {
        key for key, reason in expected.items() if reason == "deliveries"
    }
    assert len(letters) > 60
    assert_same(model.graph(), read_graph(graph_empty))
    said = (tmp_path / "pool.log").read_text()
    assert said.count("(terminated by SIGKILL; not expected)") == 5  # twice in a batch, three alone
    assert "FATAL" not in said
