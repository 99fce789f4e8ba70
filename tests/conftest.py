"""Lists the fixtures' files, and says in pytest's header which servers they use."""

from __future__ import annotations

pytest_plugins = [
    "support.chromium",
    "support.processes",
    "support.neo4j",
    "support.postgres",
    "support.proxy",
    "support.valkey",
    # Those import others: pytest rewrites the assertions of what is not imported yet.
    "support.cluster",
    "support.exporter",
    "support.graphs",
    "support.pool",
    "support.doctor",
]


def pytest_report_header() -> list[str]:
    """Say which servers are behind the fixtures. Nothing of them has started yet."""
    # Imported here: before pytest has rewritten their assertions they may not be.
    from support import neo4j, postgres, valkey

    return [valkey.described(), neo4j.described(), postgres.described()]
