"""Keeps a Neo4j graph of Telegram posts up to date from a Redis stream."""

__version__ = "0.1.0"
