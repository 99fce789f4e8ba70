"""One process that writes: its loop, its heartbeat, and the pool of them."""
