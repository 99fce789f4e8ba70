"""graphwriter doctor: problems, and the commands that repair them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from graphwriter import logs
from graphwriter.cli.options import CONTEXT, NEO4J, REDIS, flags, refuse_password, reported
from graphwriter.cli.output import as_json, echo_json, table
from graphwriter.config import read
from graphwriter.errors import EXIT_OK
from graphwriter.text import counted

if TYPE_CHECKING:
    from graphwriter.doctor.finding import Finding

MARKS = {"ok": "ok", "wrong": "!!", "unknown": "??"}


@click.command("doctor", context_settings=CONTEXT)
@click.option("--verbose", "-v", is_flag=True, help="Also show passed checks.")
@as_json
@flags(*REDIS, *NEO4J, "database_url", "run_dir")
def command(verbose: bool, json: bool, **given: Any) -> None:
    """Find problems that keep events from the graph, and print repair commands.

    It checks the settings, Redis, the stream, the workers, Neo4j and the graph, changes nothing,
    and ends within a minute. !! is a finding; ?? is a check that could not be made, with the
    reason. The exit code is 0 without a finding, 1 with one, 69 if a server does not answer, 78 if
    a setting or a password is wrong.
    """
    with reported():
        refuse_password(given)
        config, wrong = read(**given)
        logs.setup("CRITICAL", "console", config.secrets())
        from graphwriter import doctor
        from graphwriter.doctor import facts

        scrub = logs.Scrubber(config.secrets())
        findings = list(doctor.run_checks(facts.read(config, wrong, os.environ)))
        for finding in findings:
            finding.text = scrub(finding.text)
        shown = [finding for finding in findings if verbose or finding.level != "ok"]
        if json:
            for finding in shown:
                row = msgspec.to_builtins(finding)
                echo_json({key: value for key, value in row.items() if key != "code"})
        else:
            _show(shown, findings)
    sys.exit(max((finding.code for finding in findings), default=EXIT_OK))


def _show(shown: Sequence[Finding], findings: Sequence[Finding]) -> None:
    rows = []
    not_made: dict[str, list[str]] = {}  # names of checks by the reason why they were not made
    for finding in shown:
        if finding.level == "unknown":
            reason = f"{finding.text}\n{finding.repair or ''}"
            not_made.setdefault(reason, []).append(finding.check)
            continue
        rows.append([MARKS[finding.level], finding.check, finding.text])
        rows += [["", "", f"$ {finding.repair}"]] if finding.repair else []
    for reason, checks in not_made.items():
        text, _, repair = reason.partition("\n")
        name = checks[0] if len(checks) == 1 else f"{len(checks)} checks"
        rows.append([MARKS["unknown"], name, text])
        rows += [["", "", f"({', '.join(checks)})"]] if len(checks) > 1 else []
        rows += [["", "", f"$ {repair}"]] if repair else []
    if rows:
        table(["", "check", "finding and repair command"], rows)
        click.echo()
    number = {level: sum(one.level == level for one in findings) for level in MARKS}
    summary = f"{counted(number['wrong'], 'finding')}, {number['ok']} ok"
    if number["unknown"]:
        summary += f", {number['unknown']} not checked"
    click.echo(summary)
