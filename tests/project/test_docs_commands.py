"""What the pages tell people to type does what they say, and has not gone out of date."""

from __future__ import annotations

import ast
import gzip
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import click
import neo4j
import pytest
import redis
from click.testing import CliRunner
from support.documented import Block, Command, blocks, commands, lines
from support.neo4j import Server
from support.paths import ROOT

from graphwriter import GraphWriter, Neo4jClient, events
from graphwriter.cli import main
from graphwriter.config import Config

BLOCKS = [*blocks()]
COMMANDS = commands()
OURS = ("graphwriter", "graphwriter-worker")
# Commands that are run here; the others run until they are stopped, or have a server or a file of
# their own: their own tests run them.
QUICK = "acl, dead list, import, plan, publish, schema, status, trim"
EXPORT = {"id": 7, "name": "News", "type": "public_channel", "messages": []}


def of(*programs: str) -> list[Command]:
    return [command for command in COMMANDS if command.words[0] in programs]


def known(command: Command) -> None:
    """Raise UsageError for a command, option or value that the command line does not have.

    Of a command that a sentence only mentions its options are looked at, not whether it is whole.
    """
    words = (
        [*command.words[1:]]
        if command.words[0] == "graphwriter"
        else ["worker", *command.words[1:]]
    )
    path, found, context = "graphwriter", main, click.Context(main, info_name="graphwriter")
    node: click.Command = found
    while isinstance(node, click.Group) and words and not words[0].startswith("-"):
        path += f" {words[0]}"
        below = node.get_command(context, words.pop(0))
        if below is None:
            raise click.UsageError(f"there is no {path!r}")
        node = below
    if command.whole and not isinstance(node, click.Group):
        node.make_context(path, words)
        return
    names = {name for one in node.get_params(context) for name in (*one.opts, *one.secondary_opts)}
    for word in words:
        if word.startswith("-") and word.partition("=")[0] not in names and not word[1:].isdigit():
            raise click.UsageError(f"{path!r} has no {word!r}")


@pytest.mark.parametrize("command", of(*OURS), ids=str)
def test_every_command_of_ours_is_one_that_we_have(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name, its options, their values, and that nothing it needs is missing."""
    monkeypatch.chdir(tmp_path)
    known(command)


@pytest.mark.parametrize(
    "line",
    [
        "graphwriter statu",
        "graphwriter dead lst",
        "graphwriter status --colour",
        "graphwriter backfill --via pigeon",
        "graphwriter dead list --limit many",
        "graphwriter publish",
        "graphwriter-worker --consumer name",
    ],
)
def test_a_command_that_went_out_of_date_is_found(line: str) -> None:
    """A wrong name, option or value, or one that is missing."""
    with pytest.raises(click.UsageError):
        known(Command("page", next(lines(line)), whole=True))
    if "--co" in line:
        with pytest.raises(click.UsageError):
            known(Command("page", next(lines(line)), whole=False))


def test_the_pages_have_the_commands_that_are_looked_for() -> None:
    """Else all of this would say nothing."""
    assert len(of(*OURS)) > 60
    assert {"README.md", "start.md", "migration.md"} <= {command.page for command in of(*OURS)}
    assert of("make")
    assert of("redis-cli")
    assert of("python")


@pytest.mark.parametrize("command", of("make"), ids=str)
def test_every_make_target_and_variable_is_there(command: Command) -> None:
    """Targets of the Makefile, and variables that it uses."""
    makefile = (ROOT / "Makefile").read_text()
    for word in command.words[1:]:
        name, equals, _ = word.partition("=")
        found = rf"\$\({name}\)" if equals else rf"^{name}:"
        assert re.search(found, makefile, re.MULTILINE), word


@pytest.mark.parametrize("command", of("python"), ids=str)
def test_every_script_and_its_options_are_there(command: Command) -> None:
    """The options are those that the script's source names, or its like in bench/rig.py."""
    script = command.words[1] if len(command.words) > 1 else "-"
    if script.startswith("-"):
        return
    source = (ROOT / script).read_text()
    if script.startswith("bench/"):
        source += (ROOT / "bench" / "rig.py").read_text()
    for word in command.words[2:]:
        if word.startswith("--"):
            assert re.search(rf'"{word}"|"{word[2:]}":|\b{word[2:]}=\(', source), word


@pytest.mark.parametrize("command", of("pip"), ids=str)
def test_every_extra_is_there(command: Command) -> None:
    """What pip is told to install beside the package."""
    extras = (ROOT / "setup.cfg").read_text().partition("[options.extras_require]")[2]
    for names in re.findall(r"\[([\w,]+)\]", " ".join(command.words)):
        for name in names.split(","):
            assert re.search(rf"^{name} =", extras, re.MULTILINE), name


def test_every_variable_is_one_that_the_code_reads() -> None:
    """Settings, files of secrets, and what tests and bench are told by."""
    parts = [*ROOT.glob("graphwriter/**/*.py"), *ROOT.glob("tests/*.py"), *ROOT.glob("conf/*")]
    code = "".join(path.read_text() for path in [*parts, ROOT / "Makefile", ROOT / ".ci" / "run"])
    code += "".join(
        f" {field.metadata['variable']}_FILE" for field in Config.__dataclass_fields__.values()
    )
    pages = "".join(path.read_text() for path in {*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")})
    named = set(re.findall(r"\bGRAPH_WRITER_[A-Z_]*[A-Z]\b", pages))
    assert {name for name in named if not re.search(rf"\b{name}\b", code)} == set()


@pytest.fixture
def place(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    valkey_url: str,
    redis_client: redis.Redis,
    neo4j_server: Server,
    graph_empty: neo4j.Driver,
) -> Path:
    """A directory with the files that the pages name, and the test servers in the environment."""
    shown = ROOT / "examples" / "events.jsonl"
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copy(shown, tmp_path)
    (tmp_path / "events.jsonl.gz").write_bytes(gzip.compress(shown.read_bytes()))
    (tmp_path / "result.json").write_text(json.dumps(EXPORT))
    (tmp_path / "dump.json").write_text("[]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", valkey_url)
    monkeypatch.setenv("NEO4J_URI", neo4j_server.uri)
    monkeypatch.setenv("GRAPH_WRITER_RUN_DIR", str(tmp_path / "run"))
    if neo4j_server.auth:
        monkeypatch.setenv("NEO4J_USER", neo4j_server.auth[0])
        monkeypatch.setenv("NEO4J_PASSWORD", neo4j_server.auth[1])
    return tmp_path


def test_the_quick_commands_run(place: Path) -> None:
    """On servers with an empty stream and graph; what stands for a server is left to its test."""
    ran = []
    for command in of("graphwriter"):
        line = " ".join(command.words[1:])
        quick = any(line.startswith(name) for name in QUICK.split(", "))
        if not (command.whole and quick) or {"--watch", "--redis-url", "--measured"} & {
            *command.words
        }:
            continue
        result = CliRunner().invoke(main, command.words[1:])
        assert result.exit_code == 0, f"{command}: {result.output}"
        ran.append(line)
    assert len(ran) > 15


def test_the_questions_of_their_page_run(place: Path, neo4j_server: Server) -> None:
    """On the six events; files and pictures are written, and the printed thread is as shown."""
    assert CliRunner().invoke(main, ["publish", "events.jsonl"]).exit_code == 0
    write_six(neo4j_server)
    ran, shown = 0, 0
    for block in [block for block in BLOCKS if block.page == "ask.md"]:
        for words in lines(block.text) if not block.language else ():
            if words[:2] in [("graphwriter", one) for one in ("ask", "export", "schema")]:
                result = CliRunner(env={"COLUMNS": "80"}).invoke(main, words[1:])
                assert result.exit_code == 0, f"{words}: {result.output}"
                ran += 1
    asked = ["ask", "thread", "t.me/c/1000000002/8"]
    printed = CliRunner(env={"COLUMNS": "80"}).invoke(main, asked).output
    for block in BLOCKS:
        if block.page == "ask.md" and block.language == "text":
            assert block.text.split() == printed.split()
            shown += 1
    assert ran > 15
    assert shown == 1
    files = ["channels/nodes.csv", "channels.gexf", "channels.html", "posts.graphml"]
    files.append("may/edges.csv")
    assert all((place / file).stat().st_size > 100 for file in files)


def test_the_start_gives_what_its_page_shows(place: Path, neo4j_server: Server) -> None:
    """Its events, what status says, its queries with their answers, its dead letter."""
    page = [block for block in BLOCKS if block.page == "start.md"]
    shown = 0
    for block, after in pairwise(page):
        for words in lines(block.text) if not block.language else ():
            if words[:2] == ("graphwriter", "publish"):
                assert CliRunner().invoke(main, words[1:]).exit_code == 0
                write_six(neo4j_server)
            elif words[:2] == ("graphwriter", "status"):
                said = CliRunner().invoke(main, words[1:]).output
                assert set(after.text.splitlines()) <= set(said.splitlines())
                shown += 1
            elif words[0] == "python" and words[1].startswith("examples/"):
                assert (after.language, answer(*words[1:])) == ("text", after.text)
                shown += 1
    assert shown == 4
    assert "self_link" in CliRunner().invoke(main, ["dead", "list"]).output


def write_six(server: Server) -> None:
    """Do a worker's work."""
    user, password = server.auth or ("neo4j", None)
    with Neo4jClient(server.uri, user, password) as client:
        writer = GraphWriter(client, redis.Redis.from_url(os.environ["REDIS_URL"]))
        assert [writer.run_once(), writer.run_once()] == [0, 6]


def answer(*arguments: str) -> str:
    """Run a script of examples/ and return what it prints."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def cypher() -> list[tuple[str, str]]:
    """Each statement with its page; of those in a sentence the whole ones."""
    found = [(b.page, one) for b in BLOCKS if b.language == "cypher" for one in b.text.split(";")]
    roles = CliRunner().invoke(main, ["acl", "--neo4j"]).output
    assert "GRANT MATCH {*} ON GRAPH `neo4j` TO graphreader;" in roles
    found += [("acl --neo4j", one) for one in roles.split(";")]
    return [(page, statement.strip()) for page, statement in found if statement.strip()]


def test_every_cypher_statement_is_understood_by_neo4j(driver: neo4j.Driver) -> None:
    """It is explained. What Community does not have is parsed there all the same, then refused."""
    refused = {}
    for page, statement in cypher():
        try:
            driver.execute_query(f"EXPLAIN {statement}", database_="neo4j")
        except neo4j.exceptions.Neo4jError as error:
            if not str(error.code).endswith("UnsupportedAdministrationCommand"):
                refused[page] = str(error)
    assert cypher()
    assert refused == {}


def test_every_redis_command_is_one_that_redis_has(redis_client: redis.Redis) -> None:
    """By its name and the number of its words; those that only look are run, an ID being any."""
    redis_client.xgroup_create("stream:posts:parsed", "graph_writer", mkstream=True)
    redis_client.response_callbacks.clear()  # not every form of every reply is known to them
    for command in of("redis-cli"):
        words = ["0-1" if word == "ID" else word for word in command.words[1:]]
        while words and re.match(r"--?[a-z]", words[0]):
            del words[: 1 if words[0] in ("--tls", "--no-auth-warning") else 2]
        if not words:
            continue
        found = [
            one
            for name in ("|".join(words[:2]), words[0])
            for one in redis_client.execute_command("COMMAND INFO", name)  # type: ignore[no-untyped-call]
            if one
        ]
        assert found, command
        _, arity, flags, *_ = found[0]
        assert len(words) == arity if arity > 0 else len(words) >= -arity, command
        if b"readonly" in flags and command.whole:
            redis_client.execute_command(*words)  # type: ignore[no-untyped-call]


def test_what_stands_for_the_clients_answers(redis_client: redis.Redis, place: Path) -> None:
    """In a shell, with the words that the page gives it."""
    if "NEO4J_PASSWORD" in os.environ:
        pytest.skip("they stand for the clients of embedded servers, which have no password")
    (functions,) = [b.text for b in BLOCKS if b.text.startswith("redis-cli() {")]
    redis_client.xgroup_create("stream:posts:parsed", "graph_writer", mkstream=True)
    asked = 'redis-cli -u "$REDIS_URL" XINFO GROUPS stream:posts:parsed\n'
    asked += 'cypher-shell "RETURN 1 AS one"\n'
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/bash", "-c", functions + asked],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert "'graph_writer'" in done.stdout
    assert "{'one': 1}" in done.stdout


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page} {block.text[:30]!r}")
def test_every_block_of_a_language_is_of_that_language(block: Block) -> None:
    """JSON and YAML are read, an event is one, Python compiles and what it imports is there."""
    if block.language == "json":
        value = json.loads(block.text)
        if "schema_version" in value:
            events.decode({b"data": block.text.encode()}, 1_800_000_000_000)
    elif block.language in ("yaml", "yml"):
        [*importlib.import_module("yaml").safe_load_all(block.text)]
    elif block.language == "python":
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                assert all(hasattr(module, name.name) for name in node.names), block.text
            elif isinstance(node, ast.Import):
                assert all(importlib.import_module(name.name) for name in node.names)


def test_a_secret_has_no_flag_of_its_own() -> None:
    """URLs have one, and are refused with a password in them."""
    secret = {
        f"--{field.name.replace('_', '-')}"
        for field in Config.__dataclass_fields__.values()
        if field.metadata.get("secret") and not field.name.endswith("_url")
    }
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        options = {option for parameter in command.params for option in parameter.opts}
        assert not secret & options, name
