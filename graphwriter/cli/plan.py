"""graphwriter plan: machines, memory and disk for a rate and a retention."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from graphwriter.cli.options import CONTEXT, reported
from graphwriter.cli.output import as_json, echo_json, folded, table
from graphwriter.text import age, counted, size

NEAR = 0.5  # utilisation from which on the next step is shown


@click.command("plan", context_settings=CONTEXT)
@click.option("--rate", required=True, metavar="NUMBER", help="Events per second on average.")
@click.option("--peak", metavar="NUMBER", help="Events per second at the peak. [the average]")
@click.option(
    "--retention", required=True, metavar="TIME", help="How long posts are kept, such as 30d."
)
@click.option(
    "--outage", default="1h", metavar="TIME", help="Longest outage of Neo4j to survive. [1h]"
)
@click.option("--event-bytes", metavar="SIZE", help="Size of an event as JSON. [as measured]")
@click.option(
    "--cores", default="2", metavar="NUMBER", help="Cores of each machine with workers. [2]"
)
@click.option(
    "--neo4j-memory", default="64g", metavar="SIZE", help="Memory of Neo4j's machine. [64g]"
)
@click.option(
    "--neo4j-heap", default="8g", metavar="SIZE", help="Part of it for Neo4j's heap. [8g]"
)
@click.option("--neo4j-disk", default="2t", metavar="SIZE", help="Disk of Neo4j's machine. [2t]")
@click.option("--redis-memory", default="16g", metavar="SIZE", help="maxmemory of Redis. [16g]")
@click.option(
    "--measured",
    multiple=True,
    metavar="FILE",
    help="Results of your machine: bench/results/pipeline.json, growth.json, memory.json.",
)
@as_json
def command(
    rate: str, peak: str | None, retention: str, outage: str, json: bool, **given: Any
) -> None:
    """Calculate workers, machines, memory and disk from measured figures.

    Shows the first bottleneck, the next step for it, and how far the plan is from what was
    measured. Without --measured it uses the figures of docs/capacity.md.
    """
    from graphwriter import plan

    with reported():
        event_bytes = given["event_bytes"]
        wanted = plan.Wanted(
            rate=plan.number("--rate", rate),
            peak=None if peak is None else plan.number("--peak", peak),
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
        raise ConfigError(f"{file} is not JSON: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{file} {error}") from None


def _show(answer: Any) -> None:
    first = answer.resources[0]
    click.echo(folded(f"workers: {answer.workers}, on {_machines(answer)}"))
    click.echo(f"memory of all workers: {size(answer.worker_memory)}")
    click.echo(f"cores of Neo4j that writing keeps busy: {answer.neo4j_cores}")
    click.echo(f"posts kept: {answer.posts:,}")
    after = "never: Neo4j is not faster" if answer.catch_up is None else age(answer.catch_up)
    click.echo(f"time to drain the backlog of an outage: {after}")
    click.echo(f"page cache for the whole store: {size(answer.page_cache_best)}")
    click.echo()
    table(
        ["resource", "needed", "of", "%"],
        [
            [
                resource.name,
                _amount(resource.needed, resource.unit),
                _amount(resource.limit, resource.unit),
                f"{resource.share:.1%}",
            ]
            for resource in answer.resources
        ],
    )
    click.echo(f"\n{_ends(first)}\n\nHow certain:")
    for line in answer.sureness:
        click.echo(folded(f"- {line}", "  "))


def _ends(first: Any) -> str:
    if first.share > 1:
        return f"{first.name}: not enough.\n" + folded(f"Next step: {first.next_step}.")
    ends = f"First bottleneck: {first.name}, at {1 / first.share:,.1f} times this load."
    if first.share < NEAR:
        return f"{ends}\nNothing has to be done now."
    return f"{ends}\n" + folded(f"Next step then: {first.next_step}.")


def _machines(answer: Any) -> str:
    many = answer.worker_machines
    apart = f"{counted(many, 'machine')}, plus one for Neo4j and one for Redis"
    return (
        f"{apart} (or one machine with the memory and disk for all)"
        if answer.one_machine
        else apart
    )


def _amount(number: float, unit: str) -> str:
    return size(number) if unit == "bytes" else f"{number:,.0f} {unit}"
