"""Metrics and the status page: what `status` knows, served by HTTP to readers, changing nothing."""
