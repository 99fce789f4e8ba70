"""The variables of a pool on the run's servers."""

from __future__ import annotations

from pathlib import Path

import neo4j
import pytest
import redis

from support.neo4j import Server


@pytest.fixture
def pool_environ(
    valkey_url: str,
    neo4j_server: Server,
    redis_client: redis.Redis,
    graph_empty: neo4j.Driver,
    tmp_path: Path,
) -> dict[str, str]:
    """Variables of workers on the test's servers, with an empty stream and graph."""
    variables = {
        "REDIS_URL": valkey_url,
        "NEO4J_URI": neo4j_server.uri,
        "GRAPH_WRITER_RUN_DIR": str(tmp_path / "run"),
        "GRAPH_WRITER_BLOCK": "0.2",
        "GRAPH_WRITER_EXPORTER": "false",
    }
    if neo4j_server.auth:
        variables["NEO4J_USER"], variables["NEO4J_PASSWORD"] = neo4j_server.auth
    return variables
