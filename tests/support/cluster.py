"""A cluster of three nodes, and moving a slot in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from graphwriter.embedded import Valkey
from graphwriter.embedded.service import free_port
from support.names import STREAM
from support.servers import folder, started
from support.waits import until

PASSWORD = "a/b#c"
QUOTED = "a%2Fb%23c"


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[Valkey]]:
    """Three nodes with a third of the slots each."""
    config = {
        "cluster-enabled": "yes",
        "cluster-node-timeout": "2000",
        "requirepass": PASSWORD,
        "primaryauth": PASSWORD,
    }
    with ExitStack() as stack:
        nodes = []
        for number in range(3):
            data = stack.enter_context(folder())
            # Without it the bus takes the port plus 10,000, which a connection may use already.
            bus = {"cluster-port": str(free_port())}
            nodes.append(stack.enter_context(started(Valkey(data=data, config=config | bus))))
            with direct(nodes[-1]) as one:
                one.execute_command(
                    "CLUSTER", "ADDSLOTSRANGE", number * 5461, number * 5461 + 5460 + number // 2
                )
        with direct(nodes[0]) as first:
            for other in nodes[1:]:
                first.execute_command(
                    "CLUSTER", "MEET", "127.0.0.1", other.port or 0, other.config["cluster-port"]
                )
        for node in nodes:
            with direct(node) as one:
                until(lambda one=one: b"cluster_state:ok" in cluster_info(one), 30)  # type: ignore[misc]
        yield nodes


def direct(node: Valkey) -> Any:
    """A client of one node; it has no types for what is asked of it."""
    return redis.Redis(host="127.0.0.1", port=node.port or 0, password=PASSWORD)


def cluster_info(one: Any) -> bytes:
    """CLUSTER INFO as it is sent."""
    found = one.execute_command("CLUSTER INFO")
    if isinstance(found, dict):
        return b"\n".join(f"{key}:{value}".encode() for key, value in found.items())
    return bytes(found)


@pytest.fixture
def cluster_url(cluster: list[Valkey]) -> str:
    """All three, the last first."""
    return f"redis+cluster://:{QUOTED}@" + ",".join(node.address for node in reversed(cluster))


def move(cluster: list[Valkey], stream: str = STREAM) -> None:
    """Move a stream's slot to another node, with its keys, as a rebalancing does."""
    nodes = [direct(node) for node in cluster]
    names = [str(node.execute_command("CLUSTER MYID"), "ascii") for node in nodes]
    slot = nodes[0].execute_command("CLUSTER", "KEYSLOT", stream)
    owner = min(slot // 5461, 2)
    other = (owner + 1) % 3
    nodes[other].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[owner])
    nodes[owner].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[other])
    keys = nodes[owner].execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100)
    assert stream.encode() in keys
    nodes[owner].execute_command(
        "MIGRATE", "127.0.0.1", cluster[other].port, "", 0, 5000, "AUTH", PASSWORD, "KEYS", *keys
    )
    for node in (nodes[other], nodes[owner]):
        node.execute_command("CLUSTER", "SETSLOT", slot, "NODE", names[other])
    for node in nodes:
        node.close()
