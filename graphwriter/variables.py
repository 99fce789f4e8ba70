"""Environment variables that look like settings of ours, and are none: a name that was mistyped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from difflib import get_close_matches

from graphwriter.config import Config

PREFIX, TESTS = "GRAPH_WRITER_", "GRAPH_WRITER_TEST_"
BESIDE = {f"{PREFIX}CONSUMER_NAME", f"{PREFIX}CACHE"}  # which are read, and no settings


def unknown(environ: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Yield each variable of our prefix that is no setting, and the setting that may be meant."""
    names = {setting.metadata["variable"] for setting in fields(Config)}
    secrets = {s.metadata["variable"] for s in fields(Config) if s.metadata.get("secret")}
    known = names | {f"{name}_FILE" for name in secrets} | BESIDE
    for name in sorted(environ):
        if name.startswith(PREFIX) and not name.startswith(TESTS) and name not in known:
            yield name, next(iter(get_close_matches(name, known, 1)), None)
