"""Posts of PostgreSQL written to the graph, by several processes, resumable at a checkpoint."""
