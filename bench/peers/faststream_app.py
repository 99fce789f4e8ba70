"""FastStream with the driver, as a user of both writes it: a batch of the stream, one statement."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
from faststream import AckPolicy, FastStream
from faststream.redis import RedisBroker, StreamSub
from neo4j import AsyncGraphDatabase, AsyncManagedTransaction

STATEMENT = (Path(__file__).parent / "expert.cypher").read_text()
broker = RedisBroker(os.environ["REDIS_URL"], logger=None)
app = FastStream(broker, logger=None)
driver = AsyncGraphDatabase.driver(os.environ["NEO4J_URI"])


async def parser(message: Any, original: Any) -> Any:
    """Give FastStream the field it looks for."""
    message["data"] = [{b"__data__": fields[b"data"]} for fields in message["data"]]
    return await original(message)


async def decoder(message: Any) -> Any:
    """Decode with the fastest there is, which FastStream's own is not."""
    return [orjson.loads(one) for one in orjson.loads(message.body)]


async def run(tx: AsyncManagedTransaction, rows: list[dict[str, Any]]) -> None:
    """Write one batch."""
    await (await tx.run(STATEMENT, rows=rows)).consume()


@broker.subscriber(
    stream=StreamSub(
        "stream:posts:parsed",
        group="graph_writer",
        consumer=os.environ["CLIENT_ID"],
        batch=True,
        max_records=1000,
        polling_interval=100,
    ),
    parser=parser,
    ack_policy=AckPolicy.NACK_ON_ERROR,
)
async def write(batch: list[dict[str, Any]]) -> None:
    """Write what one read returned."""
    async with driver.session(database="neo4j") as session:
        await session.execute_write(run, batch)
