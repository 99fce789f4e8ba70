"""The capacity plan: arithmetic from measured figures, and what it says of its own certainty."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.paths import ROOT

from graphwriter import plan
from graphwriter.cli import main
from graphwriter.errors import EXIT_CONFIG, ConfigError

DAY = 86_400.0
MEASURED = plan.Measured(
    machine="a machine",
    rates=((1, 1000.0), (2, 1600.0), (4, 2000.0)),
    rates_posts=1_000_000,
    worker_cpu=100.0,
    worker_memory=50_000_000,
    event_bytes=900,
    entry_extra=100,
    post_bytes=1000,
    index_bytes=200,
    post_properties=10.0,
    growth_posts=1_000_000,
)
PIPELINE: dict[str, Any] = {
    "options": {"events": 40_000},
    "machine": {"cpu": "Some CPU", "cores": 8},
    "rates": {"ceiling, 1 threads": 9000, "1 workers": 8000, "2 workers": 8500.5},
    "measurements": {"2 workers": [{"server_cpu": 100.0}, {"server_cpu": 200.0}]},
    "figures": {
        "best workers": "2 workers",
        "worker's CPU, microseconds an event": 30.0,
        "resident bytes of a worker": 60_000_000,
    },
}


def planned(rate: float = 500.0, retention: float = DAY, **more: Any) -> plan.Plan:
    return plan.plan(plan.Wanted(rate=rate, retention=retention, **more), MEASURED)


def resource(found: plan.Plan, name: str) -> plan.Resource:
    return next(one for one in found.resources if one.name == name)


@pytest.mark.parametrize(
    ("rate", "workers"), [(1, 2), (1120, 2), (1121, 4), (1400, 4), (9000, 4), (100_000, 15)]
)
def test_the_fewest_workers_are_planned_that_leave_room_to_catch_up(
    rate: float, workers: int
) -> None:
    """Seven tenths of what they were measured to do, two at least, none of more than a core."""
    found = planned(rate)
    assert found.workers == workers
    assert found.worker_machines <= workers


def test_the_average_decides_what_is_kept_and_the_peak_what_is_written() -> None:
    found = planned(100, peak=1000)
    assert found.posts == planned(100).posts
    peak = planned(1000)
    assert (found.workers, found.catch_up) == (peak.workers, peak.catch_up)
    for name in ("Neo4j writes", "Redis memory"):
        assert resource(found, name) == resource(peak, name)
    assert resource(found, "Neo4j disk") == resource(planned(100), "Neo4j disk")
    assert "give --peak" in planned(100).sureness[-1]
    assert "give --peak" not in found.sureness[-1]


def test_a_peak_below_the_average_is_refused() -> None:
    with pytest.raises(ConfigError, match="--peak is 50: it has to be at least --rate"):
        planned(100, peak=50)


def test_the_cores_of_neo4j_are_what_the_events_of_the_peak_cost_it() -> None:
    measured = replace(MEASURED, server_cpu=700.0)
    found = plan.plan(plan.Wanted(rate=10, peak=3500, retention=DAY), measured)
    assert found.neo4j_cores == 4  # 2.45 seconds of processor time a second, at most 0.7 busy


def test_an_outage_is_caught_up_by_what_the_workers_do_beyond_the_rate() -> None:
    """At half of what a worker does it takes as long again."""
    assert planned(500, outage=3600).catch_up == pytest.approx(3600)
    assert planned(2000).catch_up is None


def test_redis_holds_the_backlog_of_the_outage() -> None:
    """Entries of the event and what Redis adds, with room to spare."""
    assert resource(planned(500, outage=100), "Redis memory").needed == pytest.approx(
        500 * 100 * 1000 * plan.SPARE
    )
    larger = planned(500, outage=100, event_bytes=1900)
    assert resource(larger, "Redis memory").needed == pytest.approx(500 * 100 * 2000 * plan.SPARE)


def test_disk_and_page_cache_grow_with_retention() -> None:
    """Bytes a post, of which the indexes have to be in memory."""
    found = planned(10, 10 * DAY)
    assert found.posts == 8_640_000
    disk = resource(found, "Neo4j disk").needed - plan.LOG
    assert disk == pytest.approx(8_640_000 * 1000 * plan.SPARE)
    assert resource(found, "Neo4j page cache").needed == pytest.approx(disk / 5)


def test_more_workers_cpu_takes_more_machines() -> None:
    """1,000 events/s of 100 microseconds are a tenth of a core."""
    assert planned(1000).worker_machines == 1
    busy = replace(MEASURED, worker_cpu=2000.0)
    wanted = plan.Wanted(rate=1000, retention=DAY, cores=2)
    assert plan.plan(wanted, busy).worker_machines == 2


@pytest.mark.parametrize(
    ("more", "name", "step"),
    [
        ({"rate": 3000, "retention": 60}, "Neo4j writes", "over 3 databases"),
        ({"retention": 3650 * DAY, "neo4j_memory": 2**60}, "Neo4j disk", "sharding by channel"),
        ({"retention": 3650 * DAY}, "Neo4j page cache", "sharding by channel"),
        ({"outage": 30 * DAY}, "Redis memory", "Redis Cluster with"),
        (
            {"retention": 3650 * DAY, "neo4j_memory": 2**60, "neo4j_disk": 2**60},
            "Neo4j property records",
            "sharding by channel",
        ),
    ],
)
def test_what_ends_first_comes_first_with_the_next_step(
    more: dict[str, Any], name: str, step: str
) -> None:
    """And it is above one where it does not suffice."""
    first = planned(**more).resources[0]
    assert first.name == name
    assert first.share > 1
    assert step in first.next_step


def test_a_neo4j_cluster_is_not_promised_to_write_faster() -> None:
    """One member takes all writes."""
    assert "does not write faster or store more" in planned(3000).resources[0].next_step


def test_the_plan_says_how_far_it_is_extrapolated() -> None:
    """In posts, from where it was measured."""
    near, some, far = (" ".join(planned(1, days * DAY).sureness) for days in (1, 100, 1000))
    assert "the plan is within this range" in near
    assert "extrapolated 9 times" in some
    assert "guess" not in some
    assert "extrapolated 86 times, a guess without a measurement" in far
    assert "100% of the best measured rate" in " ".join(planned(2001).sureness)


def test_every_measured_figure_names_its_command() -> None:
    """So that a person can measure it again."""
    for one in fields(plan.Measured):
        script = one.metadata["command"].removeprefix("python ")
        assert (ROOT / script).exists()


def test_answers_of_the_bench_replace_the_figures() -> None:
    """Each answer gives those it has."""
    found = plan.improved(MEASURED, PIPELINE)
    assert found.rates == ((1, 8000.0), (2, 8500.5))
    assert found.server_cpu == 150.0
    assert found.rates_posts == 40_000
    assert found.post_bytes == MEASURED.post_bytes
    memory = {"bytes of an event, text 0": 700, "bytes of its entry in Redis, text 0": 750}
    found = plan.improved(MEASURED, {"options": {}, "figures": memory})
    assert (found.event_bytes, found.entry_extra) == (700, 50)
    figures = {
        "bytes a post on disk": 650,
        "of which indexes": 150,
        "property records a post": 11.5,
    }
    found = plan.improved(MEASURED, {"options": {"events": 9}, "figures": figures})
    assert (found.post_bytes, found.index_bytes, found.growth_posts) == (650, 150, 9)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"options": {}, "figures": {}},
        {"options": {}, "figures": None},
        PIPELINE | {"rates": {"1 workers": 0}},
        PIPELINE | {"rates": {}},
        PIPELINE | {"measurements": {}},
        PIPELINE | {"machine": None},
    ],
    ids=str,
)
def test_what_is_no_answer_is_refused(answer: Any) -> None:
    """With a line, not with a traceback."""
    with pytest.raises(ConfigError):
        plan.improved(MEASURED, answer)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45s", 45), ("90m", 5400), ("12h", 43_200), ("30d", 2_592_000), ("0.5w", 302_400)],
)
def test_times_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert plan.duration("--retention", text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("800", 800), ("1k", 1024), ("2T", 2**41), ("1.5kb", 1536)]
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert plan.size("--event-bytes", text) == size


@pytest.mark.parametrize(
    "flags",
    [
        ("--rate", "x"),
        ("--rate", "0"),
        ("--rate", "nan"),
        ("--rate", "-5"),
        ("--rate", "1e400"),
        ("--retention", "30"),
        ("--retention", "0d"),
        ("--retention", "3y"),
        ("--outage", "soon"),
        ("--event-bytes", "0"),
        ("--event-bytes", "many"),
        ("--neo4j-disk", "2x"),
        ("--neo4j-heap", "63g"),
        ("--cores", "none"),
        ("--measured", "no/such/file"),
        ("--measured", __file__),
    ],
    ids=" ".join,
)
def test_bad_input_gives_one_line_that_names_it(flags: tuple[str, str]) -> None:
    """And the exit code of a wrong configuration."""
    done = CliRunner().invoke(main, ["plan", "--rate", "5", "--retention", "3d", *flags])
    assert done.exit_code == EXIT_CONFIG
    (line,) = done.stderr.splitlines()
    assert flags[0] in line or flags[1] in line


def test_a_memory_without_room_is_refused_with_both_options_and_their_values() -> None:
    """As they were given."""
    with pytest.raises(ConfigError) as refused:
        planned(neo4j_memory=2**30, neo4j_heap=8 * 2**30)
    assert "--neo4j-memory is 1g: it has to be above 10g, --neo4j-heap (8g)" in str(refused.value)


def test_the_next_step_is_told_where_it_is_near_and_no_line_is_wider_than_the_terminal() -> None:
    """At 80 columns; what suffices for long needs nothing."""
    small, near, over = (
        CliRunner().invoke(
            main, ["plan", "--rate", rate, "--retention", "1d"], env={"COLUMNS": "80"}
        )
        for rate in ("5", "3000", "50000")
    )
    assert "Nothing has to be done now." in small.output
    assert "shard" not in small.output
    assert "\nNext step then: a" in near.output
    assert "\nNext step: a" in over.output
    assert max(map(len, f"{small.output}{near.output}{over.output}".splitlines())) <= 80


def test_the_command_prints_a_table_or_json(tmp_path: Path) -> None:
    """Both with what ends first; --measured changes the figures."""
    file = tmp_path / "pipeline.json"
    file.write_text(json.dumps(PIPELINE))
    common = ["plan", "--rate", "3000", "--retention", "30d", "--measured", str(file)]
    told = CliRunner().invoke(main, common).output
    assert "Next step: " in told
    assert "Some CPU, 8 cores" in told
    found = json.loads(CliRunner().invoke(main, [*common, "--json"]).output)
    assert found["ends_first"] == found["resources"][0]["name"]
    assert found["posts"] == 3000 * 30 * 86_400
