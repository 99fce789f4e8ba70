"""graphwriter inside another service: the same loop and the same statement, without the commands.

Everything here is synchronous. From asyncio, give it a thread: `await asyncio.to_thread(
writer.start_consuming)`, and call `writer.stop()` when the service ends.
"""

from __future__ import annotations

import inspect
import logging
import os
import socket
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from graphwriter import events, keep
from graphwriter.config import load
from graphwriter.errors import ConfigError
from graphwriter.graph import Graph, schema
from graphwriter.graph.batch import fold
from graphwriter.stream import consumer_of
from graphwriter.worker.counts import Counts
from graphwriter.worker.writer import Writer

log = logging.getLogger("graphwriter")

Peer = Mapping[str, int] | str | int


class Neo4jClient:
    """A connection to the graph, and single links written into it.

    Args:
        uri: bolt:// or neo4j:// address; with `+s` for TLS.
        user, password: None if authentication is off.
        timeout: longest time of one transaction, in seconds; the retries may take as long again.
    """

    def __init__(
        self,
        uri: str,
        user: str | None = None,
        password: str | None = None,
        database: str = "neo4j",
        *,
        timeout: float = 20.0,
    ) -> None:
        self.graph = Graph(uri, user, password, database, timeout=timeout, retry=timeout)

    def connect(self) -> Neo4jClient:
        """Connect, and create missing constraints. Blocks until the server answers.

        Raises:
            Unavailable: no answer.
            ConfigError: the server rejects the user, the password or the database, or duplicates
                in the graph prevent a constraint.
        """
        self.graph.open().check()
        schema.apply(self.graph)
        return self

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        self.graph.close()

    def __enter__(self) -> Neo4jClient:
        return self.connect()

    def __exit__(self, *exc: object) -> None:
        self.close()

    def create_forward_relationship(
        self,
        tg_channel_id: int,
        telegram_message_id: int,
        *,
        forward_from_peer_id: Peer | None = None,
        forward_from_chat_id: int | None = None,
        forward_from_message_id: int | None = None,
        forward_date: datetime | str | float | None = None,
        forward_from_name: str | None = None,
        occurred_at: datetime | str | float | None = None,
    ) -> bool:
        """Write where a post was forwarded from, as an event of `occurred_at` (None: now) would.

        Arguments are the event's fields; all None clears the forward. Returns whether the graph
        changed: False if the graph has a newer version. Committed when it returns.

        Raises:
            BadEvent: an argument is invalid.
            Unavailable: the server does not answer; calling again is safe.
        """
        return self._create(
            (tg_channel_id, telegram_message_id),
            occurred_at,
            forward_from_peer_id=forward_from_peer_id,
            forward_from_chat_id=forward_from_chat_id,
            forward_from_message_id=forward_from_message_id,
            forward_date=_time(forward_date),
            forward_from_name=forward_from_name,
        )

    def create_reply_relationship(
        self,
        tg_channel_id: int,
        telegram_message_id: int,
        *,
        reply_to_message_id: int | None = None,
        reply_to_chat_id: int | None = None,
        thread_id: int | None = None,
        occurred_at: datetime | str | float | None = None,
    ) -> bool:
        """Write what a post replies to; otherwise as `create_forward_relationship`."""
        return self._create(
            (tg_channel_id, telegram_message_id),
            occurred_at,
            reply_to_message_id=reply_to_message_id,
            reply_to_chat_id=reply_to_chat_id,
            thread_id=thread_id,
        )

    def create_author_relationship(
        self,
        tg_channel_id: int,
        telegram_message_id: int,
        *,
        author_peer_id: Peer | None = None,
        author_name: str | None = None,
        author_type: str | None = None,
        occurred_at: datetime | str | float | None = None,
    ) -> bool:
        """Write who the author of a post is; otherwise as `create_forward_relationship`."""
        return self._create(
            (tg_channel_id, telegram_message_id),
            occurred_at,
            author_peer_id=author_peer_id,
            author_name=author_name,
            author_type=author_type,
        )

    def _create(
        self, address: events.Address, occurred_at: datetime | str | float | None, **facet: Any
    ) -> bool:
        now = time.time()
        event = events.from_values(
            {
                **facet,
                "schema_version": "v1",
                "occurred_at": now if occurred_at is None else _time(occurred_at),
                "tg_channel_id": address[0],
                "telegram_message_id": address[1],
                **dict.fromkeys(("idempotency_key", "tenant_id", "channel_id", "post_id"), ""),
            },
            int(now * 1000),
        )
        return bool(self.graph.write(fold([event]).links_only()))


def _time(value: datetime | str | float | None) -> str | float | None:
    return value.isoformat() if isinstance(value, datetime) else value


class GraphWriter:
    """Writes the events of a Redis stream to the graph, as one consumer of a group.

    Args:
        neo4j_client: the graph to write to. The caller closes it.
        redis_client: a `redis.Redis`; only its connection settings are used: the writer opens its
            own connections, which return bytes.
        consumer_group: shared with all other consumers of the same events.
        batch_size: largest number of events in one transaction.
        stream: the stream's key; several as in the setting GRAPH_WRITER_STREAM.
        consumer_name: unique within the group and the same at every start, so that its
            pending entries are read first; None: host name and process id, and entries that were
            pending for another process are claimed after `claim_idle` seconds.
        tenant: write only this tenant's events; the others become dead letters.
        text: also store the posts' texts in the graph.
        enrich: what else to keep, of "links", "media", "albums".
        database_url: PostgreSQL with the posts, for `process_batch_from_postgres` only; None: the
            value of DATABASE_URL, or of the file named by DATABASE_URL_FILE.

    Raises:
        ConfigError: an argument is an asyncio client, or not a client, or an unknown word, or names
            no stream.
    """

    def __init__(
        self,
        neo4j_client: Neo4jClient,
        redis_client: Any,
        consumer_group: str = "graph_writer",
        batch_size: int = 100,
        *,
        stream: str = "stream:posts:parsed",
        consumer_name: str | None = None,
        claim_idle: float = 180.0,
        tenant: str | None = None,
        text: bool = False,
        enrich: Iterable[str] = (),
        database_url: str | None = None,
    ) -> None:
        if not isinstance(neo4j_client, Neo4jClient):
            raise ConfigError(
                f"neo4j_client is a {type(neo4j_client).__name__}, expected graphwriter.Neo4jClient"
            )
        pool = getattr(redis_client, "connection_pool", None)
        if pool is None or inspect.iscoroutinefunction(
            getattr(redis_client, "execute_command", None)
        ):
            raise ConfigError(
                f"redis_client is {type(redis_client).__module__}.{type(redis_client).__name__}, "
                "expected a synchronous redis.Redis"
            )
        self._graph, self._tenant = neo4j_client.graph, tenant
        self._keep = keep.read(text, ",".join(enrich))
        self._database_url = database_url
        self._process = os.getpid()
        name = consumer_name or f"{socket.gethostname()}-{self._process}"
        self._stream = consumer_of(pool, stream, consumer_group, name)
        self._writer = Writer(
            self._stream,
            neo4j_client.graph,
            batch_size=batch_size,
            claim_idle=claim_idle,
            tenant=tenant,
            keep=self._keep,
        )

    @property
    def counts(self) -> Counts:
        """What this writer has done since its start."""
        return self._writer.counts

    def start_consuming(self) -> None:
        """Write events until `stop` is called. Blocks; waits while a server is unavailable.

        Raises:
            ConfigError: the configuration is wrong, or the process was forked after __init__.
            DeadLetterLimit: most events are refused.
        """
        self._unshared().run()

    def run_once(self) -> int:
        """Do one step: read, write and acknowledge one batch; return the number of entries.

        The first step connects, creates the group and the constraints, and returns 0. A step
        without new entries blocks for about a second. Raises the same as `start_consuming`.
        """
        return self._unshared().run_once()

    def process_batch_from_postgres(
        self,
        post_ids: Iterable[object],
        batch_size: int = 100,
        *,
        rejects: Path | str | None = None,
    ) -> dict[str, int]:
        """Write the posts with these ids from PostgreSQL, as their events would; blocks until done.

        Returns the number of different ids ("total"), how many of them are in the graph now
        ("processed"), and how many could not be written ("failed"). Failed posts are logged, and
        appended to the file `rejects` as JSON lines; the others are written. It is safe beside
        running workers: the newer version of a post wins.

        Raises:
            Unavailable: a server does not answer; calling again is safe.
            ConfigError: there is no database URL, or the tables are not as expected.
        """
        from graphwriter.backfill import rows

        url = self._database_url or load().database_url
        if url is None:
            raise ConfigError("no database URL: give database_url, or set DATABASE_URL")
        schema.apply(self._graph, self._keep)
        ids = list(dict.fromkeys(map(str, post_ids)))
        target = rows.ToGraph(self._graph, self._keep)
        failed = 0
        for reject in rows.write_ids(url, target, ids, batch_size, self._tenant):
            log.warning("post %s was not written: %s: %s", *reject)
            failed += 1
            if rejects is not None:
                rows.append_rejects(Path(rejects), [reject])
        return {"total": len(ids), "processed": len(ids) - failed, "failed": failed}

    def _unshared(self) -> Writer:
        """Return the writer; two processes must not share its name and its connections."""
        if self._process != os.getpid():
            text = f"this GraphWriter was made in process {self._process}: make one in each process"
            raise ConfigError(f"{text}, and a Neo4jClient, after the fork")
        return self._writer

    def stop(self) -> None:
        """Make `start_consuming` return after the current batch. Callable in signal handlers."""
        self._writer.stop()

    def close(self) -> None:
        """Close the connections to Redis. Safe to call twice."""
        self._stream.close()
