"""The exporter as people start it: a process that listens on a port of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from graphwriter.exporter.metrics import counters
from graphwriter.worker.counts import Counts
from support.waits import until


class Answer(NamedTuple):
    """What an HTTP server said."""

    code: int
    text: str
    headers: dict[str, str]  # by their names in lower case


class Exporter:
    """A running exporter; `url` ends in a slash."""

    def __init__(self, environ: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "graphwriter", "exporter", "--exporter-port", "0"],
                env=os.environ | environ,
                stderr=file,
            )
        until(lambda: self._found() or self.process.poll() is not None, 60)
        found = self._found()
        assert found, log.read_text()
        self.url = found[0]

    def _found(self) -> re.Match[str] | None:
        return re.search(r"http://127.0.0.1:\d+/", self.log.read_text())

    def get(
        self, path: str = "", headers: dict[str, str] | None = None, method: str = "GET"
    ) -> Answer:
        """Ask for a path; a refusal is an answer too."""
        request = urllib.request.Request(self.url + path, headers=headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return Answer(answer.status, answer.read().decode(), _lower(answer.headers))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode(), _lower(error.headers))

    def metrics(self) -> dict[str, float]:
        """What Prometheus reads, as its own parser understands it."""
        return samples(self.get("metrics").text)

    def stop(self) -> int:
        """End it as a supervisor does; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def samples(text: str) -> dict[str, float]:
    """Each sample of a text in Prometheus's format, by its name and labels as in a query."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def counted(total: Counts) -> dict[str, float]:
    """What is served of these counts."""

    class Only:
        def collect(self) -> Any:
            return counters(total)

    registry = CollectorRegistry()
    registry.register(Only())
    return samples(generate_latest(registry).decode())


@pytest.fixture
def exporter(pool_environ: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Exporter]]:
    """Start exporters beside the pool of `pool_environ`; they are ended after the test."""
    started: list[Exporter] = []

    def start(**more: str) -> Exporter:
        log = tmp_path / f"exporter-{len(started)}.log"
        started.append(Exporter(pool_environ | more, log))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.stop()
