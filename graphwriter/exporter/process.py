"""The exporter as a process of its own, beside the workers."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading

from graphwriter import status, urls
from graphwriter.config import Config
from graphwriter.exporter import site
from graphwriter.exporter.refresh import EVERY, Looks
from graphwriter.graph import connect
from graphwriter.worker import runtime

log = logging.getLogger("graphwriter")


def run(config: Config) -> None:
    """Serve until SIGTERM, or until the supervisor that is our parent is gone.

    Raises:
        ConfigError: the address cannot be had, or lets others read without a token.
    """
    site.check(config)
    parent = runtime.supervisor(os.environ)
    for name, level in (("neo4j", logging.CRITICAL), ("waitress", logging.ERROR)):
        logging.getLogger(name).setLevel(level)  # an outage is shown, and logged by the workers
    with connect(config, timeout=status.BUSY, retry=0.0, patience=status.PATIENCE) as graph:
        looks = Looks(status.Looker(config, graph))
        server = site.serve(config, site.Site(looks, config.exporter_token))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        if parent is not None:
            threading.Thread(target=_leave_with, args=(parent, looks), daemon=True).start()
        looks.start()
        port = getattr(server, "effective_port", config.exporter_port)
        page = urls.page(config.exporter_host, port)
        log.info("metrics and the status page are served on %s", page)
        try:
            server.run()
        finally:
            looks.stop()
            server.close()


def _leave_with(parent: int, looks: Looks) -> None:
    while os.getppid() == parent:
        if looks.ended.wait(EVERY):
            return
    os.kill(os.getpid(), signal.SIGTERM)
