"""Made-up posts for the demo and the bench."""
