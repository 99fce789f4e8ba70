"""An asyncio service that writes the graph beside its own work.

    REDIS_URL=… NEO4J_URI=… NEO4J_PASSWORD=… python examples/asyncio_service.py

GraphWriter is synchronous, so it runs in a thread. At SIGTERM or Ctrl-C the service stops after the
current batch is committed and acknowledged.
"""

from __future__ import annotations

import asyncio
import os
import signal

import redis

from graphwriter import GraphWriter, Neo4jClient


async def own_work(writer: GraphWriter) -> None:
    """A placeholder for the work of the service itself."""
    while True:
        await asyncio.sleep(1)
        print(f"{writer.counts.written} events written so far", flush=True)


async def main() -> None:
    """Run both until a signal comes, or until the writer gives up."""
    client = Neo4jClient(
        os.environ.get("NEO4J_URI", "bolt://127.0.0.1:7687"),
        os.environ.get("NEO4J_USER", "neo4j"),
        os.environ.get("NEO4J_PASSWORD"),
    )
    connection = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
    await asyncio.to_thread(client.connect)  # raises Unavailable where Neo4j does not answer
    writer = GraphWriter(client, connection, consumer_name="service-0")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, writer.stop)
    work = asyncio.create_task(own_work(writer))
    try:
        # Waits for servers that are away; raises ConfigError and DeadLetterLimit.
        await asyncio.to_thread(writer.start_consuming)
    finally:
        work.cancel()
        writer.close()
        client.close()
    print(f"{writer.counts.written} events written", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
