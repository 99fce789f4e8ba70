"""Ask the graph: python examples/ask.py "MATCH (p:Post) RETURN count(p) AS posts"

Prints one line per row. NEO4J_URI is the server, and its password is in NEO4J_PASSWORD or in the
file that NEO4J_PASSWORD_FILE names. Neo4j Browser and cypher-shell do the same.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from neo4j import GraphDatabase
from neo4j.exceptions import DriverError, Neo4jError

if len(sys.argv) != 2:
    sys.exit('usage: python examples/ask.py "MATCH (p:Post) RETURN count(p) AS posts"')
uri = os.environ.get("NEO4J_URI", "bolt://127.0.0.1:7687")
user, password = os.environ.get("NEO4J_USER", "neo4j"), os.environ.get("NEO4J_PASSWORD")
if file := os.environ.get("NEO4J_PASSWORD_FILE"):
    try:
        password = Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        sys.exit(f"NEO4J_PASSWORD_FILE {file}: {error.strerror}")
database = os.environ.get("NEO4J_DATABASE", "neo4j")
auth = (user, password) if password else None
try:
    with GraphDatabase.driver(uri, auth=auth, notifications_min_severity="OFF") as driver:
        driver.verify_connectivity()
        with driver.session(database=database) as session:
            result = session.run(sys.argv[1])
            print(*result.keys(), sep="\t")
            for row in result:
                print(*row, sep="\t")
except (DriverError, Neo4jError) as error:
    sys.exit(f"{uri}: {error}")
