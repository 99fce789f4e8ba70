"""The stream and the group that every test uses, which are the defaults."""

from __future__ import annotations

STREAM, GROUP = "stream:posts:parsed", "graph_writer"
