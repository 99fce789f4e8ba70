"""A graph compared with a source of events, and repaired."""
