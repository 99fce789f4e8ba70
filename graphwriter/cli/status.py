"""graphwriter status: one look at the pipeline."""

from __future__ import annotations

import click

from graphwriter.cli.options import CONTEXT, REDIS, settings
from graphwriter.cli.output import as_json, counted, echo_json, table
from graphwriter.config import Config

WORKER = ("entries", "written", "unchanged", "dead", "lost")


@click.command("status", context_settings=CONTEXT)
@as_json
@settings(*REDIS, "run_dir")
def command(config: Config, json: bool) -> None:
    """Show the stream, the workers of this machine and the dead letters.

    A worker that was killed, or gave up, is shown as ended until one of its name starts again.
    """
    from graphwriter import status
    from graphwriter.stream import Stream

    told = status.read(
        Stream(config.redis_url, config.stream, config.group, ""), config.directory()
    )
    if json:
        echo_json(told)
        return
    unread = "unknown" if told["unread"] is None else f"{told['unread']:,}"
    click.echo(f"{told['stream']}: {counted(told['length'], 'entry')}")
    if not told["group_exists"]:
        click.echo(f"group {told['group']} is not there: no worker has started yet")
    else:
        click.echo(
            f"group {told['group']}: {unread} unread, {told['pending']:,} pending, "
            f"{counted(told['dead'], 'dead letter')}"
        )
    table(
        ["worker", *WORKER, "doing"],
        [
            [w["consumer"], *(f"{w['counts'][k]:,}" for k in WORKER), _doing(w)]
            for w in told["workers"]
        ],
        empty="no worker on this machine (or another GRAPH_WRITER_RUN_DIR)",
    )


def _doing(worker: dict[str, object]) -> str:
    age, doing = worker["progress_age"], worker["doing"] if worker["alive"] else "ended"
    error = f": {worker['error']}" if worker["error"] else ""
    return f"{doing}, {age} s ago{error}"
