"""Where events come from: an export, a file of lines, a made-up stream. None needs a server."""
