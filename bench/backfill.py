"""How fast is a backfill from PostgreSQL, beside workers that write the same posts from the stream?

The workers get the posts in the stream's order and in the order of their ids, in which a backfill
reads them. A backfill's clock runs from its first committed batch: what its processes take to start
is not counted, as it is not for workers. The long backfill is repeated offline, into a database of
its own: there the clock runs from the start of the command to its end, with the start of Java, the
import and the constraints.
"""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import data
import orjson
import psutil
import psycopg
import rig

from graphwriter.embedded import Postgres

PAGE = rig.BENCH.parent / "docs" / "backfill.md"
TIMES = ("posted_at", "forward_date")
PEERS = ("forward_from_peer_id", "author_peer_id")


def load(url: str, events: Iterator[data.Event]) -> None:
    """Make the tables of the docs, with a row for each event."""
    found = re.search(r"```sql\n(CREATE TABLE.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    chats: dict[int, uuid.UUID] = {}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS posts; DROP TABLE IF EXISTS channels")
        connection.execute(found[1].replace(" REFERENCES channels", ""))
        names = [column.name for column in connection.execute("TABLE posts").description or ()]
        with connection.cursor() as cursor:
            with cursor.copy(f"COPY posts ({', '.join(names)}) FROM STDIN") as copy:
                for event in events:
                    chat = event["tg_channel_id"]
                    row = event | {"id": event["post_id"]}
                    row["channel_id"] = chats.setdefault(
                        chat, uuid.uuid5(uuid.NAMESPACE_OID, f"{chat}")
                    )
                    for name in TIMES:
                        row[name] = row[name] and datetime.fromtimestamp(row[name], UTC)
                    for name in PEERS:
                        row[name] = row[name] and json.dumps(row[name])
                    copy.write_row([row.get(name) for name in names])
            pairs = [(key, chat) for chat, key in chats.items()]
            cursor.executemany("INSERT INTO channels VALUES (%s, %s)", pairs)
            cursor.execute("ANALYZE")


def contender(place: rig.Rig, database: Postgres, posts: int, workers: int) -> dict[str, Any]:
    """Measure one backfill of everything into an empty graph."""
    place.wipe()
    run = Path(tempfile.mkdtemp(dir=place.folder))
    program = str(Path(sys.executable).with_name("graphwriter"))
    command = [
        program,
        "backfill",
        "--all",
        "--json",
        "--workers",
        f"{workers}",
        "--state",
        f"{run}",
    ]
    servers = [psutil.Process(pid) for pid in (database.pid, place.neo4j.pid)]
    before = [*map(_cpu, servers), _ended()]
    with (run / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=place.environ(run) | {"DATABASE_URL": database.url},
            stdout=subprocess.PIPE,
            stderr=log,
        )
        start, first, resident = 0.0, 0, 0
        deadline = time.monotonic() + rig.LIMIT
        while (written := place.counts().get("Post", 0)) < posts:
            if written and not first:
                start, first = time.perf_counter(), written
            resident = max(resident, *_resident(process.pid))
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                sys.exit(f"the backfill ended: {(run / 'log').read_text()[-2000:]}")
            time.sleep(0.05)
        seconds = time.perf_counter() - start
        out, _ = process.communicate(timeout=60)
    after = [*map(_cpu, servers), _ended()]
    cpu = [(y - x) / posts * 1e6 for x, y in zip(before, after, strict=True)]
    return {
        "events": posts,
        "seconds": round(seconds, 4),
        "rate": round((posts - first) / seconds, 1),
        "resident": resident,
        "postgres_cpu": round(cpu[0], 2),  # microseconds a post
        "server_cpu": round(cpu[1], 2),
        "cpu": round(cpu[2], 2),  # of the processes, with their start
        "rejected": json.loads(out)["rejected"],
    }


def offline(place: rig.Rig, database: Postgres, posts: int, workers: int) -> dict[str, Any]:
    """Measure one offline load of everything, with the import into an embedded Neo4j."""
    run = Path(tempfile.mkdtemp(dir=place.folder))
    program = str(Path(sys.executable).with_name("graphwriter"))
    command = [program, "backfill", "--all", "--json", "--workers", f"{workers}", "--import"]
    command += ["--offline", f"{run / 'load'}", "--data", f"{run / 'data'}"]
    server, cpu = psutil.Process(database.pid), _ended()
    before = _cpu(server)
    start, resident = time.perf_counter(), 0
    with (run / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=place.environ(run) | {"DATABASE_URL": database.url},
            stdout=subprocess.PIPE,
            stderr=log,
        )
        while process.poll() is None:
            resident = max(resident, *_resident(process.pid, "spawn_main"))
            time.sleep(0.1)
    seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"the load ended: {(run / 'log').read_text()[-2000:]}")
    assert process.stdout is not None
    told = json.loads(process.stdout.read())
    load = run / "load"
    size = sum(file.stat().st_size for file in load.rglob("*.csv"))
    shutil.rmtree(run)
    return {
        "events": posts,
        "seconds": round(seconds, 4),
        "rate": round(posts / seconds, 1),
        "stages": told["seconds"],
        "resident": resident,
        "bytes": round(size / posts),  # of the files, a post
        "postgres_cpu": round((_cpu(server) - before) / posts * 1e6, 2),  # microseconds a post
        "cpu": round((_ended() - cpu) / posts * 1e6, 2),  # with Java's
    }


def _postgres(folder: Path) -> Postgres:
    folder.chmod(0o755)  # of root it runs as nobody
    return Postgres(data=folder / "postgres")


def _cpu(process: psutil.Process) -> float:
    """Seconds of a server and of its children, those that ended too."""
    times = process.cpu_times()
    below = [one.cpu_times() for one in process.children(recursive=True)]
    return float(
        sum(times[:2])
        + times.children_user
        + times.children_system
        + sum(sum(t[:2]) for t in below)
    )


def _ended() -> float:
    """Seconds of all our children that have ended, and of theirs."""
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def _resident(pid: int, only: str = "") -> list[int]:
    """Bytes of a process and of those below it whose command line has `only`."""
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        return [one.memory_info().rss for one in family if only in " ".join(one.cmdline())] or [0]
    except psutil.NoSuchProcess:
        return [0]  # it just ended


def live(place: rig.Rig, lines: list[bytes], workers: int) -> Callable[[], dict[str, Any]]:
    """Return a measurement of workers that write the same posts."""

    def measure() -> dict[str, Any]:
        place.wipe()
        place.fill(lines)
        return place.race(rig.workers(workers))

    return measure


def main() -> None:
    """Measure both in turn, then one long backfill, and the same offline."""
    question = __doc__.partition("\n")[0]
    options = rig.arguments(
        question,
        workers=(2, "processes of each"),
        long=(1_000_000, "posts of the one long backfill, 0 for none"),
    )
    with rig.Rig() as place, _postgres(place.folder) as database:
        made = list(data.events(options.events, options.seed, options.skew))
        load(database.url, iter(made))
        lines = [orjson.dumps(event) for event in made]
        by_id = [orjson.dumps(event) for event in sorted(made, key=lambda one: one["post_id"])]
        n = options.workers
        contenders = {
            "workers": live(place, lines, n),
            "workers, by id": live(place, by_id, n),
            "backfill": lambda: contender(place, database, len(made), n),
        }
        found = rig.interleaved(contenders, options.rounds)
        figures = {
            "backfill / workers": rig.ratio(found, "backfill", "workers"),
            "backfill / workers, by id": rig.ratio(found, "backfill", "workers, by id"),
            "PostgreSQL's CPU, microseconds a post": rig.median(found, "backfill", "postgres_cpu"),
            "largest process, MB": round(rig.median(found, "backfill", "resident") / 2**20, 1),
        }
        if options.long:
            del made, lines, by_id
            load(database.url, data.events(options.long, options.seed, options.skew))
            one = contender(place, database, options.long, n)
            found["backfill, long"] = [one]
            figures["long backfill, posts/s"] = one["rate"]
            figures["long backfill, largest process, MB"] = round(one["resident"] / 2**20, 1)
            loaded = offline(place, database, options.long, n)
            found["offline, long"] = [loaded]
            figures["offline / backfill, long"] = round(loaded["rate"] / one["rate"], 2)
            figures["offline, posts/s"] = loaded["rate"]
            for stage, seconds in loaded["stages"].items():
                figures[f"offline, {stage}, s"] = round(seconds, 1)
            figures["offline, largest process of ours, MB"] = round(loaded["resident"] / 2**20, 1)
    rig.save("backfill", question, options, measurements=found, figures=figures)


if __name__ == "__main__":
    main()
