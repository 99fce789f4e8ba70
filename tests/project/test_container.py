"""The Dockerfile, step by step in a clean directory: what it installs runs, as it says it is run.

No container engine is needed. What its steps leave is also what `pip install graphwriter` leaves in
an empty environment, so the package is looked at here too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import neo4j
import pytest
import redis
from support.paths import ROOT
from support.servers import folder, unavailable
from support.waits import until

from graphwriter import __version__
from graphwriter.producers.demo.demo import Demo
from graphwriter.producers.publisher import EventPublisher

ENVIRON = dict(os.environ)
NOBODY = 65534
# What follows sees a root that is read-only, but for the directory that comes first.
READ_ONLY = ["unshare", "--mount", "--", "sh", "-ec"]
READ_ONLY += ['mount --bind "$0" "$0"; mount -o remount,bind,ro /; exec "$@"']
# The one right that is left is to read: the interpreter may lie in the home of root.
NO_RIGHTS = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
NO_RIGHTS += [f"--{which}=-all,+dac_read_search" for which in ("inh-caps", "ambient-caps")]
NO_RIGHTS += ["--bounding-set=-all,+dac_read_search", "--no-new-privs", "--"]


class Image(NamedTuple):
    """What the Dockerfile made: where the environment lies, and what is run in it."""

    home: Path
    wheels: Path
    entrypoint: list[str]
    command: list[str]
    health: list[str]

    def run(self, *arguments: str, environ: dict[str, str] | None = None) -> str:
        """Run a program of the environment, away from the checkout; return what it printed."""
        done = subprocess.run(
            [self.home / "bin" / arguments[0], *arguments[1:]],
            env={"PATH": f"{self.home}/bin:{os.defpath}", **(environ or {})},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines) if word]


def json_form(rest: str) -> list[str]:
    """An instruction's list, which no shell stands before."""
    found = json.loads(rest[rest.index("[") :])
    assert isinstance(found, list)
    return found


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """Do what the first stage says, with its paths below a folder of our own."""
    with folder() as root:
        context = root / "context"
        home, build = root / "opt" / "graphwriter", root / "build"
        build.mkdir()
        context.mkdir()
        for line in (ROOT / ".dockerignore").read_text().splitlines():
            if line.startswith("!"):
                source = ROOT / line[1:]
                if source.is_dir():
                    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
                    shutil.copytree(source, context / source.name, ignore=ignored)
                else:
                    shutil.copy(source, context)
        (root / "bin").mkdir()
        (root / "bin" / "python").symlink_to(sys.executable)
        (root / "bin" / "pip").write_text(f'#!/bin/sh\nexec {sys.executable} -m pip "$@"\n')
        (root / "bin" / "pip").chmod(0o755)
        environ = {**os.environ, "PATH": f"{root}/bin:{os.environ['PATH']}"}
        told = instructions()
        stages = [number for number, (word, _) in enumerate(told) if word == "FROM"]
        for word, rest in told[stages[0] : stages[1]]:
            if word == "COPY":
                *names, target = rest.split()
                run(["cp", "-R", *(str(context / name) for name in names), target], build, environ)
            elif word == "RUN":
                run(["sh", "-ec", rest.replace("/opt/", f"{root}/opt/")], build, environ)
        last = dict(told[stages[1] :])
        yield Image(
            home,
            build / "wheels",
            json_form(last["ENTRYPOINT"]),
            json_form(last["CMD"]),
            json_form(last["HEALTHCHECK"]),
        )


def run(command: list[str], where: Path, environ: dict[str, str]) -> None:
    """Do one step of the build."""
    done = subprocess.run(
        command, cwd=where, env=environ, capture_output=True, text=True, timeout=300, check=False
    )
    if "NewConnectionError" in done.stderr:
        unavailable("the package index cannot be reached")
    assert done.returncode == 0, done.stderr


def test_every_step_that_takes_a_package_checks_its_hash_or_has_no_index() -> None:
    """So that what runs in the container is what the lock names."""
    steps = [rest for word, rest in instructions() if word == "RUN"]
    commands = [part for step in steps for part in step.split("&&") if "pip " in part]
    assert len(commands) == 3
    for command in commands:
        assert "--require-hashes" in command or "--no-index" in command


def test_the_container_runs_as_nobody_special_and_its_commands_have_no_shell_before_them() -> None:
    """By a number that is not root's; signals reach the program itself."""
    last = dict(instructions())
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last["USER"])
    assert json_form(last["ENTRYPOINT"]) == ["graphwriter"]
    assert json_form(last["CMD"]) == ["up"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.slow
def test_the_entrypoint_writes_tells_its_health_and_stops_cleanly_as_another_user(
    image: Image, pool_environ: dict[str, str], redis_client: redis.Redis, graph_empty: neo4j.Driver
) -> None:
    """The pool in the foreground, below a root that is read-only but for one directory."""
    with folder() as place:
        run_dir = place / "run"
        run_dir.mkdir(mode=0o700)
        os.chown(run_dir, NOBODY, NOBODY)
        environ = {"PATH": f"{image.home}/bin:{os.defpath}", **pool_environ, "TMPDIR": str(run_dir)}
        del environ["GRAPH_WRITER_RUN_DIR"]
        environ |= {"GRAPH_WRITER_EXPORTER": "true", "GRAPH_WRITER_EXPORTER_PORT": "0"}
        account = [*READ_ONLY, str(run_dir), *NO_RIGHTS]
        output, its = os.pipe()

        def healthy() -> bool:
            done = subprocess.run([*account, *image.health], env=environ, capture_output=True)
            return done.returncode == 0

        assert not healthy()
        pool = subprocess.Popen(
            [*account, *image.entrypoint, *image.command],
            env=environ,
            cwd="/",
            stdout=its,
            stderr=its,
            start_new_session=True,
        )
        os.close(its)
        until(healthy)
        with EventPublisher(pool_environ["REDIS_URL"]) as publisher:
            publisher.publish_all(Demo(1000))
        until(lambda: posts(graph_empty) > 500)
        pool.terminate()
        assert pool.wait(60) == 0
        assert redis_client.xpending("stream:posts:parsed", "graph_writer")["pending"] == 0
        assert not healthy()
        with os.fdopen(output) as said:
            log = said.read()
        assert log.count("nothing left pending") == 2
        assert "metrics and the status page are served on http" in log
        assert "Traceback" not in log


def posts(driver: neo4j.Driver) -> int:
    """How many posts the graph has."""
    (count,) = driver.execute_query("MATCH (p:Post) RETURN count(p)").records[0]
    return int(count)


@pytest.mark.slow
def test_what_is_installed_is_the_package_and_no_more(image: Image) -> None:
    """Version, module and commands; no extra, no checkout."""
    assert image.run("graphwriter", "--version") == f"graphwriter {__version__}\n"
    assert image.run("python", "-m", "graphwriter", "--version") == f"graphwriter {__version__}\n"
    where = image.run(
        "python", "-c", "from graphwriter.worker import pool; print(pool.conf())"
    ).strip()
    assert where.startswith(str(image.home))
    present = {path.name for path in Path(where).parent.iterdir() if path.is_file()}
    shipped = {path.name for path in (ROOT / "conf").iterdir() if path.is_file()}
    assert present - {"__init__.py"} == shipped
    installed = json.loads(image.run("python", "-m", "pip", "list", "--format=json"))
    assert "pytest" not in {each["name"] for each in installed}


@pytest.mark.slow
def test_a_wheel_from_the_source_archive_is_the_wheel_of_the_checkout(
    image: Image, tmp_path: Path
) -> None:
    """The archive has all that it takes to build the package."""
    context = image.wheels.parent
    build = "import sys, setuptools.build_meta as b; b.build_sdist(sys.argv[1])"
    pinned = ["--no-deps", "--no-index", "--find-links", str(image.wheels)]
    tools = str(tmp_path / "tools")
    pip = [sys.executable, "-m", "pip"]
    run([*pip, "install", "--quiet", *pinned, "--target", tools, "setuptools"], context, ENVIRON)
    run([sys.executable, "-c", build, str(tmp_path)], context, ENVIRON | {"PYTHONPATH": tools})
    (archive,) = tmp_path.glob("*.tar.gz")
    wheel = [*pip, "wheel", "--quiet", *pinned, "--wheel-dir", str(tmp_path), str(archive)]
    run(wheel, tmp_path, ENVIRON)
    (again,) = tmp_path.glob("*.whl")
    (first,) = image.wheels.glob("graphwriter-*.whl")
    assert names(again) == names(first)
    assert f"graphwriter-{__version__}" in again.name


def names(wheel: Path) -> set[str]:
    """The files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(image: Image, shell: str) -> None:
    """The script that a shell's start-up file takes in, and what it asks for."""
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("no bash on this machine")
    script = image.run("graphwriter", environ={"_GRAPHWRITER_COMPLETE": f"{shell}_source"})
    assert f"_GRAPHWRITER_COMPLETE={shell}_complete" in script
    asked = {
        "_GRAPHWRITER_COMPLETE": "bash_complete",
        "COMP_WORDS": "graphwriter pu",
        "COMP_CWORD": "1",
    }
    assert image.run("graphwriter", environ=asked) == "plain,publish\n"
