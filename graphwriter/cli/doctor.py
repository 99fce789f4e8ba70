"""graphwriter doctor: what is wrong, and the command that mends it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from graphwriter import logs
from graphwriter.cli.options import CONTEXT, NEO4J, REDIS, flags, refuse_password, reported
from graphwriter.cli.output import as_json, counted, echo_json, table
from graphwriter.config import read
from graphwriter.errors import EXIT_OK

if TYPE_CHECKING:
    from graphwriter.doctor.finding import Finding

MARKS = {"ok": "ok", "wrong": "!!", "unknown": "??"}


@click.command("doctor", context_settings=CONTEXT)
@click.option("--verbose", "-v", is_flag=True, help="Show what is well, too.")
@as_json
@flags(*REDIS, *NEO4J, "database_url", "run_dir")
def command(verbose: bool, json: bool, **given: Any) -> None:
    """Look for what keeps events from the graph, and name the command that mends it.

    It looks at the settings, Redis, the stream, the workers, Neo4j and the graph, changes nothing,
    and ends within a minute whatever is away. !! is a finding; ?? could not be checked, and says
    why. The exit code is 0 without a finding, 1 with one, 69 if a server is away, 78 if a setting
    or a password is wrong.
    """
    with reported():
        refuse_password(given)
        config, wrong = read(**given)
        logs.setup("CRITICAL", "console", config.secrets())
        from graphwriter import doctor
        from graphwriter.doctor import facts

        scrub = logs.Scrubber(config.secrets())
        findings = list(doctor.examine(facts.gather(config, wrong, os.environ)))
        for one in findings:
            one.text = scrub(one.text)
        shown = [one for one in findings if verbose or one.level != "ok"]
        if json:
            for one in shown:
                echo_json({k: v for k, v in msgspec.to_builtins(one).items() if k != "code"})
        else:
            _show(shown, findings)
    sys.exit(max((one.code for one in findings), default=EXIT_OK))


def _show(shown: Sequence[Finding], findings: Sequence[Finding]) -> None:
    rows = []
    alike: dict[str, list[str]] = {}  # checks that could not be made, by the reason
    for one in shown:
        if one.level == "unknown":
            alike.setdefault(f"{one.text}\n{one.mend or ''}", []).append(one.check)
            continue
        rows.append([MARKS[one.level], one.check, one.text])
        rows += [["", "", f"$ {one.mend}"]] if one.mend else []
    for reason, checks in alike.items():
        text, _, mend = reason.partition("\n")
        one_name = checks[0] if len(checks) == 1 else f"{len(checks)} checks"
        rows.append([MARKS["unknown"], one_name, text])
        rows += [["", "", f"({', '.join(checks)})"]] if len(checks) > 1 else []
        rows += [["", "", f"$ {mend}"]] if mend else []
    if rows:
        table(["", "check", "finding, and what mends it"], rows)
        click.echo()
    number = {level: sum(one.level == level for one in findings) for level in MARKS}
    said = f"{counted(number['wrong'], 'finding')}, {number['ok']} ok"
    if number["unknown"]:
        said += f", {number['unknown']} not checked"
    click.echo(said)
