"""What the tests stand on: a lost server comes back once, and no process is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support import processes
from support.paths import ROOT

LOSES = """
import neo4j, pytest
from support import neo4j as support

def answers(uri):
    with neo4j.GraphDatabase.driver(uri) as driver:
        driver.verify_connectivity()

def test_first(neo4j_server):
    answers(neo4j_server.uri)
    support._embedded[0]._kill(support._embedded[0]._child)

def test_second(neo4j_server):
    answers(neo4j_server.uri)
    support._embedded[0]._kill(support._embedded[0]._child)

def test_third(neo4j_server):
    pass
"""

LEAVES = """
import subprocess

def test_it():
    subprocess.Popen(["sleep", "600"], stdout=subprocess.PIPE)

def test_next():
    pass
"""


def pytest_of(text: str, folder: Path, *plugins: str) -> subprocess.CompletedProcess[str]:
    """Run tests of our own in a process of its own."""
    (folder / "test_own.py").write_text(text)
    options = [option for plugin in plugins for option in ("-p", plugin)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--rootdir", str(folder), *options, str(folder)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests"), "COLUMNS": "200"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.skipif("TEST_NEO4J_URI" in os.environ, reason="that server is not the run's own")
def test_a_lost_neo4j_is_started_again_once_and_the_run_says_so(tmp_path: Path) -> None:
    """The next test has it; lost again, the run ends instead of failing test by test."""
    done = pytest_of(LOSES, tmp_path, "support.neo4j")
    assert "2 passed" in done.stdout, done.stdout
    assert "Neo4j was gone before test_own.py::test_second" in done.stdout
    assert "Neo4j was lost a second time" in done.stdout
    assert done.returncode == pytest.ExitCode.INTERRUPTED


def test_a_test_that_leaves_a_process_fails_and_the_process_ends(tmp_path: Path) -> None:
    """The error is that test's; the next one passes."""
    done = pytest_of(LEAVES, tmp_path, "support.processes")
    assert "2 passed, 1 error" in done.stdout, done.stdout
    assert "ERROR test_own.py::test_it - Failed: the test left running: sleep 600" in done.stdout
    assert "ResourceWarning" not in done.stdout + done.stderr


def test_children_are_found_while_threads_end() -> None:
    ended = threading.Event()

    def churn() -> None:
        while not ended.is_set():
            one = threading.Thread(target=lambda: None)
            one.start()
            one.join()

    busy = [threading.Thread(target=churn) for _ in range(4)]
    for one in busy:
        one.start()
    others = processes.children()
    try:
        with subprocess.Popen(["sleep", "60"]) as child:
            assert [processes.children() - others for _ in range(100)] == [{child.pid}] * 100
            child.kill()
    finally:
        ended.set()
        for one in busy:
            one.join()
