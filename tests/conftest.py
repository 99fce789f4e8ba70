"""Lists the fixtures' files, and says in pytest's header which servers they use."""

from __future__ import annotations

pytest_plugins = [
    "fix_chromium",
    "fix_exporter",
    "fix_neo4j",
    "fix_pool",
    "fix_postgres",
    "fix_proxy",
    "fix_valkey",
    "fix_doctor",  # which imports others of them
]


def pytest_report_header() -> list[str]:
    """Say which servers are behind the fixtures. Nothing of them has started yet."""
    # Imported here: before pytest has rewritten their assertions they may not be.
    import fix_neo4j
    import fix_postgres
    import fix_valkey

    return [fix_valkey.described(), fix_neo4j.described(), fix_postgres.described()]
