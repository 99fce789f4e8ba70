"""graphwriter plan: what a rate and a retention take in machines, memory and disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from graphwriter.cli.options import CONTEXT, reported
from graphwriter.cli.output import as_json, echo_json, folded, table

NEAR = 0.5  # share of what there is from which the next step is worth a thought


@click.command("plan", context_settings=CONTEXT)
@click.option("--rate", required=True, metavar="NUMBER", help="Events a second, at the peak.")
@click.option("--retention", required=True, metavar="TIME", help="How long posts stay, as 30d.")
@click.option(
    "--outage", default="1h", metavar="TIME", help="Longest time without Neo4j to hold. [1h]"
)
@click.option("--event-bytes", metavar="SIZE", help="An event as JSON. [as measured]")
@click.option("--cores", default="2", metavar="NUMBER", help="Cores of a machine of workers. [2]")
@click.option("--neo4j-memory", default="64g", metavar="SIZE", help="Neo4j's machine. [64g]")
@click.option("--neo4j-heap", default="8g", metavar="SIZE", help="Of it, Neo4j's heap. [8g]")
@click.option("--neo4j-disk", default="2t", metavar="SIZE", help="Neo4j's disk. [2t]")
@click.option("--redis-memory", default="16g", metavar="SIZE", help="Redis's maxmemory. [16g]")
@click.option(
    "--measured",
    multiple=True,
    metavar="FILE",
    help="bench/results/pipeline.json of your machine; growth.json and memory.json may follow.",
)
@as_json
def command(
    rate: str, retention: str, outage: str, event_bytes: str | None, json: bool, **given: Any
) -> None:
    """Reckon workers, machines, memory and disk from measured figures.

    Says which resource ends first, what to do then, and how far the answer lies from what was
    measured. Without --measured the figures are those of docs/capacity.md.
    """
    from graphwriter import plan

    with reported():
        wanted = plan.Wanted(
            rate=plan.number("--rate", rate),
            retention=plan.duration("--retention", retention),
            outage=plan.duration("--outage", outage),
            event_bytes=None if event_bytes is None else plan.size("--event-bytes", event_bytes),
            cores=plan.number("--cores", given["cores"]),
            **{
                name: plan.size(f"--{name.replace('_', '-')}", given[name])
                for name in ("neo4j_memory", "neo4j_heap", "neo4j_disk", "redis_memory")
            },
        )
        measured = plan.Measured()
        for file in given["measured"]:
            measured = _improved(measured, Path(file))
        answer = plan.plan(wanted, measured)
    if json:
        echo_json(answer.as_dict())
    else:
        _show(answer)


def _improved(measured: Any, file: Path) -> Any:
    import orjson

    from graphwriter import plan
    from graphwriter.errors import ConfigError

    try:
        return plan.improved(measured, orjson.loads(file.read_bytes()))
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"{file} is no JSON: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{file} {error}") from None


def _show(answer: Any) -> None:
    first = answer.resources[0]
    click.echo(folded(f"workers: {answer.workers}, on {_machines(answer)}"))
    click.echo(f"memory of all workers: {_amount(answer.worker_memory, 'bytes')}")
    click.echo(f"posts kept: {answer.posts:,}")
    after = (
        "never: Neo4j gains nothing on it" if answer.catch_up is None else _time(answer.catch_up)
    )
    click.echo(f"an outage's backlog is written after: {after}")
    click.echo(f"page cache that holds the whole store: {_amount(answer.page_cache_best, 'bytes')}")
    click.echo()
    table(
        ["resource", "needed", "of", "%"],
        [
            [
                one.name,
                _amount(one.needed, one.unit),
                _amount(one.limit, one.unit),
                f"{one.share:.1%}",
            ]
            for one in answer.resources
        ],
    )
    click.echo(f"\n{_ends(first)}\n\nHow sure:")
    for line in answer.sureness:
        click.echo(folded(f"- {line}", "  "))


def _ends(first: Any) -> str:
    if first.share > 1:
        return f"{first.name} does not suffice.\n" + folded(f"Next step: {first.next_step}.")
    ends = f"{first.name} ends first, at {1 / first.share:,.1f} times this."
    if first.share < NEAR:
        return f"{ends}\nNothing has to be done for it now."
    return f"{ends}\n" + folded(f"Next step then: {first.next_step}.")


def _machines(answer: Any) -> str:
    many = answer.worker_machines
    apart = f"{many} machine{'s'[: many > 1]}, beside one for Neo4j and one for Redis"
    return f"{apart} (or one machine with memory and disk for all)" if answer.one_machine else apart


def _amount(number: float, unit: str) -> str:
    if unit != "bytes":
        return f"{number:,.0f} {unit}"
    for name in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:,.1f} {name}"
        number /= 1024
    return f"{number:,.1f} TiB"


def _time(seconds: float) -> str:
    for name, long in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= long:
            return f"{seconds / long:.1f} {name}"
    return f"{seconds:.0f} s"
