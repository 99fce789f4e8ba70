"""Lists the fixtures' files and says in pytest's header which servers the run uses."""

from __future__ import annotations

from tests import fix_neo4j, fix_postgres, fix_valkey

pytest_plugins = ["tests.fix_neo4j", "tests.fix_postgres", "tests.fix_proxy", "tests.fix_valkey"]


def pytest_report_header() -> list[str]:
    """Say which servers are behind the fixtures, and that nothing of them has started yet."""
    return [fix_valkey.described(), fix_neo4j.described(), fix_postgres.described()]
