"""The status page in a real browser: what it shows, that it goes on, what cannot get into it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from support.chromium import Tab
from support.exporter import Exporter
from support.names import GROUP, STREAM
from support.proxy import Proxy
from support.waits import until

from graphwriter.stream import DeadLetters, Stream
from graphwriter.worker import heartbeat
from graphwriter.worker.counts import Counts

HOSTILE = (
    "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">\x1b[31m"
)
Start = Callable[..., Exporter]


@pytest.fixture
def run_dir(pool_environ: dict[str, str]) -> Path:
    """The workers' files' directory."""
    path = Path(pool_environ["GRAPH_WRITER_RUN_DIR"])
    path.mkdir(mode=0o700)
    return path


def tell(run_dir: Path, consumer: str, written: int = 0, error: str | None = None) -> None:
    """Leave the file of a worker that is alive."""
    now = time.time()
    told = heartbeat.WorkerState(
        consumer, STREAM, GROUP, os.getpid(), now, now, time.monotonic(), "reading",
        Counts(written=written), error, last_error=(now, error) if error else None,
    )  # fmt: skip
    path = run_dir / f"{heartbeat.key(consumer, '', '', '')}.json"
    path.write_bytes(msgspec.json.encode(told))


def bury(valkey_url: str, client: redis.Redis, error: str) -> None:
    """Make one dead letter."""
    stream = Stream(valkey_url, STREAM, GROUP, "w")
    stream.create_group()
    client.xadd(STREAM, {"data": "{"})
    DeadLetters(stream.client, STREAM, GROUP, "w").add(stream.read(1)[0], "not_json", error)
    stream.close()


@pytest.mark.slow
def test_it_shows_the_pipeline_goes_on_by_itself_and_needs_nothing_from_elsewhere(
    tab: Tab,
    exporter: Start,
    run_dir: Path,
    valkey_url: str,
    redis_client: redis.Redis,
    proxy: Callable[[str], Proxy],
    pool_environ: dict[str, str],
) -> None:
    """From well to an outage and back, and the exporter's own end, without a reload."""
    tell(run_dir, "vm1-00", written=1234)
    bury(valkey_url, redis_client, "it is no JSON at all")
    server = proxy(pool_environ["REDIS_URL"])
    one = exporter(REDIS_URL=server.url)
    until(lambda: "all is well" in one.get().text or "dead letter" in one.get().text, 60)
    tab.size(1200)
    tab.open(one.url)
    tab.run("window.stays = true")
    for text in ("vm1-00", "1,234", "not_json", "it is no JSON at all", "1 dead letter", STREAM):
        assert text in tab.text
    kept: Any = redis_client.xrange(dead())
    assert f"graphwriter dead replay {kept[0][0].decode()}" in tab.text
    tell(run_dir, "vm1-00", written=1300)
    redis_client.xadd(STREAM, {"data": "x"})
    until(lambda: "1,300" in tab.text and "2 entries" in tab.text, 60)
    server.stop()
    until(lambda: "Redis does not answer" in tab.text, 60)
    assert tab.run("document.querySelector('.verdict').textContent") == "outage"
    assert "2 entries" not in tab.text  # no old figure beside the outage
    assert tab.run("document.querySelectorAll('.box')[1].classList.contains('down')")
    server.start()
    until(lambda: "Redis does not answer" not in tab.text, 60)
    assert tab.run("window.stays")  # the page was never loaded anew
    assert tab.said == []  # nothing was refused by the policy, and no script failed
    one.stop()
    until(lambda: "The exporter has not answered for" in tab.text, 60)


def dead() -> str:
    return f"{{{STREAM}}}:dead"


def plant_hostile_texts(run_dir: Path, valkey_url: str, redis_client: redis.Redis) -> None:
    """Markup in every text that others write: names, errors, reasons, ids."""
    for number in range(30):
        tell(run_dir, f"{HOSTILE}{number}", error=HOSTILE * 5)
    bury(valkey_url, redis_client, HOSTILE * 5 + "x" * 5000)
    odd: dict[Any, Any] = {
        "dead.reason": HOSTILE,
        "dead.source_id": f"$(rm){HOSTILE}",
        "dead.time": "1e99",
    }
    redis_client.xadd(dead(), odd)
    redis_client.xadd(STREAM, {"data": "x"})
    redis_client.xreadgroup(GROUP, HOSTILE, {STREAM: ">"}, count=1)


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_texts_are_text_and_no_elements(
    exporter: Start, run_dir: Path, valkey_url: str, redis_client: redis.Redis
) -> None:
    """As a parser of HTML reads the page: one script, ours, no image, no handler."""
    plant_hostile_texts(run_dir, valkey_url, redis_client)
    one = exporter()
    page, part = one.get().text, one.get("live").text
    for elements in (Elements(page), Elements(msgspec.json.decode(part)["html"])):
        tags = [tag for tag, _ in elements.found]
        assert tags.count("script") <= 1
        assert not {"img", "iframe", "object"} & set(tags)
        assert [name for _, names in elements.found for name in names if name[:2] == "on"] == []
        assert elements.text.count("<script>document.title=") > 30
        assert "\x1b" not in elements.text


@pytest.mark.parametrize("width", [1200, 390], ids=["a desk", "a phone"])
def test_hostile_names_are_text_and_fit_the_page(
    width: int,
    tab: Tab,
    exporter: Start,
    run_dir: Path,
    valkey_url: str,
    redis_client: redis.Redis,
) -> None:
    """Of workers, consumers, reasons, errors; with a policy that would let none of them run."""
    plant_hostile_texts(run_dir, valkey_url, redis_client)
    one = exporter()
    tab.size(width)
    tab.open(one.url)
    time.sleep(2.5)  # for the first part that came by script
    assert tab.run("document.title") == f"graphwriter · {STREAM}"
    assert tab.run("document.querySelectorAll('main script, main img').length") == 0
    assert tab.text.count("<script>document.title=") > 30
    assert "\x1b" not in tab.text
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run("(s => s.scrollWidth <= s.clientWidth)(document.querySelector('.scroll'))")
    assert all("rm" not in command for command in commands(tab))
    assert tab.said == []


def commands(tab: Tab) -> list[str]:
    """What the buttons would copy."""
    found: list[str] = tab.run("[...document.querySelectorAll('button')].map(b => b.dataset.copy)")
    assert len(found) == 2
    return found


def test_it_can_be_read_without_javascript_and_in_the_dark(
    tab: Tab, exporter: Start, run_dir: Path, redis_client: redis.Redis
) -> None:
    """The whole state is in the page; it reloads itself; text and ground differ enough."""
    tell(run_dir, "vm1-00", written=77)
    one = exporter()
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.size(1200, dark=True)
        tab.open(one.url)
        assert "vm1-00" in tab.text
        assert 'http-equiv="refresh"' in one.get().text
        assert not tab.run("document.documentElement.classList.contains('live')")
        ink, ground = (
            brightness(tab.run(f"getComputedStyle(document.body).{which}"))
            for which in ("color", "backgroundColor")
        )
        assert ink > 200
        assert ground < 40
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)


def brightness(color: str) -> float:
    """Of a colour such as rgb(1, 2, 3)."""
    parts = [float(part) for part in color.strip("rgb()").split(",")]
    return sum(parts) / len(parts)
