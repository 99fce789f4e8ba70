"""Compares the graph with a source of events, checks its invariants, and repairs it.

`sources` reads events, `compare` compares one with its post, `audit` does both for a whole source.
To add a source, subclass `sources.Source` and add a command in cli/verify.py.
"""
