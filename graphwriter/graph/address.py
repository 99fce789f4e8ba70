"""Where Neo4j is, as its URI says; what is wrong with one is said without showing it."""

from __future__ import annotations

from urllib.parse import parse_qs

from graphwriter.errors import ConfigError

SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")


def check(uri: str) -> None:
    """Return if the driver can use `uri`, and no log that shows it would tell a secret.

    Raises:
        ConfigError: with what to set instead. The URI is not in it.
    """
    scheme, mark, rest = uri.partition("://")
    if not mark or scheme not in SCHEMES:
        found = f"begins with {scheme}://" if mark else "is no URI"
        raise ConfigError(
            f"NEO4J_URI {found}, expected one of {', '.join(SCHEMES)} before ://, as in "
            "bolt://127.0.0.1:7687"
        )
    if "@" in rest:
        raise ConfigError(
            "NEO4J_URI holds a user or a password, which every log would show: set NEO4J_USER and "
            "NEO4J_PASSWORD or NEO4J_PASSWORD_FILE instead"
        )
    query = rest.partition("?")[2]
    routed = scheme.startswith("neo4j") and set(parse_qs(query)) <= {"policy", "region"}
    if "#" in rest or (query and not routed):
        raise ConfigError(
            "NEO4J_URI goes on after the port: expected bolt://HOST:PORT or "
            "neo4j://HOST:PORT?policy=NAME, and passwords in NEO4J_PASSWORD_FILE"
        )
