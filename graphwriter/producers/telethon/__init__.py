"""Telethon's messages as events: from a live client, a session, or a dump."""

from __future__ import annotations

from graphwriter.producers.telethon.message import prepare_parsed_event

__all__ = ["prepare_parsed_event"]
