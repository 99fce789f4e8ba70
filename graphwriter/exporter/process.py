"""The exporter as a process beside the workers."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading

from graphwriter import status, urls
from graphwriter.config import Config
from graphwriter.exporter import site
from graphwriter.exporter.refresh import REFRESH_INTERVAL, Refresher
from graphwriter.graph import connect
from graphwriter.worker import runtime

log = logging.getLogger("graphwriter")


def run(config: Config) -> None:
    """Serve until SIGTERM, or until the supervisor, our parent, has died.

    Raises:
        ConfigError: the address is in use, or others could read without a token.
    """
    site.check(config)
    parent = runtime.supervisor(os.environ)
    for name, level in (("neo4j", logging.CRITICAL), ("waitress", logging.ERROR)):
        logging.getLogger(name).setLevel(level)  # the page shows an outage, and workers log it
    with connect(
        config, timeout=status.NEO4J_TIMEOUT, retry=0.0, patience=status.PATIENCE
    ) as graph:
        refresher = Refresher(status.StatusReader(config, graph))
        server = site.serve(config, site.Site(refresher, config.exporter_token))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        if parent is not None:
            threading.Thread(target=_exit_with, args=(parent, refresher), daemon=True).start()
        refresher.start()
        port = getattr(server, "effective_port", config.exporter_port)
        page = urls.page(config.exporter_host, port)
        log.info("metrics and the status page are served on %s", page)
        try:
            server.run()
        finally:
            refresher.stop()
            server.close()


def _exit_with(parent: int, refresher: Refresher) -> None:
    while os.getppid() == parent:
        if refresher.ended.wait(REFRESH_INTERVAL):
            return
    os.kill(os.getpid(), signal.SIGTERM)
