// Roles for Neo4j Enterprise: workers write, those who ask read.
CREATE ROLE graphwriter IF NOT EXISTS;
GRANT ACCESS ON DATABASE neo4j TO graphwriter;
GRANT MATCH {*} ON GRAPH neo4j TO graphwriter;
GRANT WRITE ON GRAPH neo4j TO graphwriter;
GRANT NAME MANAGEMENT ON DATABASE neo4j TO graphwriter;
GRANT INDEX MANAGEMENT ON DATABASE neo4j TO graphwriter;
GRANT CONSTRAINT MANAGEMENT ON DATABASE neo4j TO graphwriter;
CREATE ROLE graphreader IF NOT EXISTS;
GRANT ACCESS ON DATABASE neo4j TO graphreader;
GRANT MATCH {*} ON GRAPH neo4j TO graphreader;
GRANT SHOW INDEX ON DATABASE neo4j TO graphreader;
