"""Telethon messages as events: from a dump, or read from Telegram with a session."""

from __future__ import annotations

from graphwriter.producers.telethon.message import prepare_parsed_event

__all__ = ["prepare_parsed_event"]
