"""Who may do what, who may listen, and where secrets must not be."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import neo4j
import psutil
import pytest
import redis
import trustme
from cryptography.hazmat.primitives import serialization
from support.cases import BASE
from support.model import Model, assert_same, read_graph
from support.names import GROUP, STREAM
from support.neo4j import Server
from support.product import digest
from support.proxy import carry
from support.servers import folder, started
from support.waits import until

from graphwriter import files
from graphwriter.config import Config, load
from graphwriter.database import Database, Selection
from graphwriter.embedded import Neo4j, Valkey
from graphwriter.errors import ConfigError, GraphwriterError
from graphwriter.graph import Graph
from graphwriter.producers.publisher import EventPublisher
from graphwriter.stream import DeadLetters, Stream, acl, connect, info, trim
from graphwriter.worker import heartbeat
from graphwriter.worker.counts import Counts
from graphwriter.worker.pool import Pool
from graphwriter.worker.writer import Writer

SECRET = "planted-s3cret"


def event(message: int, **more: Any) -> dict[str, Any]:
    return BASE | {"telegram_message_id": message, "post_id": f"p{message}"} | more


# Redis: each role can do its work, and nothing else


@pytest.fixture
def role(redis_client: redis.Redis) -> Iterator[Callable[[str], str]]:
    """Make the roles' users; `role(name)` is a URL to log in with."""
    lines = acl.users(STREAM, GROUP)
    for line in lines:
        _, name, *rules = line.split(" ")
        client: Any = redis_client
        client.execute_command("ACL", "SETUSER", name, *_rules(rules), f">{SECRET}")
    at = "{host}:{port}/{db}".format(**redis_client.connection_pool.connection_kwargs)
    yield lambda name: f"redis://graphwriter-{name}:{SECRET}@{at}"
    redis_client.acl_deluser(*(line.split(" ")[1] for line in lines))


def _rules(words: list[str]) -> list[str]:
    """Rules as ACL SETUSER takes them: a selector in brackets is one."""
    rules: list[str] = []
    for word in words:
        if rules and rules[-1].startswith("(") and not rules[-1].endswith(")"):
            rules[-1] += f" {word}"
        else:
            rules.append(word)
    return rules


def test_every_role_can_do_its_work(
    role: Callable[[str], str],
    redis_client: redis.Redis,
    neo4j_server: Server,
    graph_empty: neo4j.Driver,
    tmp_path: Path,
) -> None:
    """Publish, write with a dead letter and a claim, look, replay, trim."""
    with EventPublisher(role("producer")) as publisher:
        publisher.publish_all([event(1), event(2)])
    redis_client.xadd(STREAM, {"data": "broken"})
    redis_client.xgroup_create(STREAM, GROUP, id="0")
    redis_client.xreadgroup(GROUP, "gone", {STREAM: ">"}, count=1)
    stream = Stream(role("worker"), STREAM, GROUP, "me", block=0.05)
    with Graph(neo4j_server.uri, *(neo4j_server.auth or (None, None))) as graph:
        writer = Writer(stream, graph, claim_idle=0.001)
        for _ in range(4):
            writer.run_once()
        assert writer.error is None
        entry = stream.read(1)
        assert entry == []
    assert (writer.counts.written, writer.counts.dead, writer.counts.claimed) == (2, 1, 1)
    watcher = Stream(role("watcher"), STREAM, GROUP, "")
    seen = info.stream(watcher.client, STREAM, GROUP)
    assert (seen.length, seen.pending, seen.dead, len(seen.consumers)) == (3, 0, 1, 2)
    operator = Stream(role("operator"), STREAM, GROUP, "")
    letters = DeadLetters(operator.client, STREAM, GROUP)
    assert letters.replay(letters.list()) == 1
    needed = trim.oldest_needed(operator.client, operator.name)
    assert needed is not None
    assert (
        trim.trim(operator.client, operator.name, needed) == 0
    )  # a node holds more than these few
    for one in (stream, watcher, operator):
        one.close()


@pytest.mark.parametrize(
    ("name", "forbidden"),
    [
        ("worker", ["XADD", STREAM, "*", "data", "x"]),
        ("worker", ["XDEL", STREAM, "1-1"]),
        ("worker", ["XTRIM", STREAM, "MAXLEN", "0"]),
        ("worker", ["XGROUP", "DESTROY", STREAM, GROUP]),
        ("worker", ["GET", "another"]),
        ("producer", ["XRANGE", STREAM, "-", "+"]),
        ("producer", ["XREADGROUP", "GROUP", GROUP, "x", "STREAMS", STREAM, ">"]),
        ("producer", ["XADD", f"{{{STREAM}}}:dead", "*", "data", "x"]),
        ("operator", ["DEL", STREAM]),
        ("operator", ["XDEL", STREAM, "1-1"]),
        ("watcher", ["XADD", STREAM, "*", "data", "x"]),
        ("watcher", ["XACK", STREAM, GROUP, "1-1"]),
        *((name, ["FLUSHALL"]) for name in ("worker", "producer", "operator", "watcher")),
        *((name, ["CONFIG", "GET", "*"]) for name in ("worker", "producer", "operator", "watcher")),
        *((name, ["KEYS", "*"]) for name in ("worker", "producer", "operator", "watcher")),
    ],
)
def test_no_role_can_do_more(role: Callable[[str], str], name: str, forbidden: list[str]) -> None:
    with (
        redis.Redis.from_url(role(name)) as client,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        client.execute_command(*forbidden)


# TLS


class Front:
    """TLS in front of a server that speaks without; PostgreSQL's clients ask for it first."""

    def __init__(self, port: int, cert: trustme.LeafCert, *, asked: bool = False) -> None:
        self._port, self._asked = port, asked
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert.configure_cert(self._context)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            if self._asked:
                assert client.recv(8)[4:] == bytes.fromhex("04d2162f")  # SSLRequest
                client.sendall(b"S")
            inner = self._context.wrap_socket(client, server_side=True)
        except (ssl.SSLError, OSError):
            return  # the client did not like our certificate
        outer = socket.create_connection(("127.0.0.1", self._port))
        threading.Thread(target=carry, args=(outer, inner), daemon=True).start()
        carry(inner, outer)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs the servers' certificates, which are for localhost and not for 127.0.0.1."""
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the authority, as one's own is: by SSL_CERT_FILE."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


@pytest.fixture
def tls_redis(authority: trustme.CA, redis_client: redis.Redis) -> Iterator[int]:
    """The port of the run's Redis behind TLS."""
    port = redis_client.connection_pool.connection_kwargs["port"]
    front = Front(port, authority.issue_cert("localhost"))
    yield front.port
    front.close()


def test_redis_by_tls_with_the_right_authority(tls_redis: int, trusted: None) -> None:
    stream = Stream(f"rediss://localhost:{tls_redis}/0", STREAM, GROUP, "me")
    assert stream.create_group()
    stream.close()


def test_redis_by_tls_refuses_another_host(tls_redis: int, trusted: None) -> None:
    stream = Stream(f"rediss://127.0.0.1:{tls_redis}/0", STREAM, GROUP, "me")
    with pytest.raises(GraphwriterError, match=r"(?i)certificate.*127\.0\.0\.1"):
        stream.create_group()
    stream.close()


def test_redis_by_tls_refuses_an_unknown_authority(tls_redis: int) -> None:
    stream = Stream(f"rediss://localhost:{tls_redis}/0", STREAM, GROUP, "me")
    with pytest.raises(GraphwriterError, match=r"(?i)certificate verify failed"):
        stream.create_group()
    stream.close()


@pytest.fixture(scope="module")
def tls_neo4j(authority: trustme.CA) -> Iterator[int]:
    """The port of a Neo4j that speaks TLS."""
    cert = authority.issue_cert("localhost")
    with folder() as data:
        key = serialization.load_pem_private_key(cert.private_key_pem.bytes(), None)
        (data / "private.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        (data / "public.crt").write_bytes(cert.cert_chain_pems[0].bytes())
        policy = "dbms.ssl.policy.bolt"
        settings = {
            f"{policy}.enabled": "true",
            f"{policy}.base_directory": str(data),
            f"{policy}.private_key": "private.key",
            f"{policy}.public_certificate": "public.crt",
            f"{policy}.client_auth": "NONE",
            "server.bolt.tls_level": "OPTIONAL",  # the embedded server is asked without
        }
        with started(Neo4j(data=data, settings=settings)) as server:
            assert server.port is not None
            yield server.port


def test_neo4j_by_tls_with_the_right_authority(tls_neo4j: int, trusted: None) -> None:
    with Graph(f"bolt+s://localhost:{tls_neo4j}") as graph:
        assert graph.check().startswith("Neo4j/")


def test_neo4j_by_tls_refuses_another_host(tls_neo4j: int, trusted: None) -> None:
    wrong = pytest.raises(GraphwriterError, match=r"(?i)certificate|encrypted|secur")
    with Graph(f"bolt+s://127.0.0.1:{tls_neo4j}", retry=0.1) as graph, wrong:
        graph.check()


def test_neo4j_by_tls_refuses_an_unknown_authority(tls_neo4j: int) -> None:
    wrong = pytest.raises(GraphwriterError, match=r"(?i)certificate|encrypted|secur")
    with Graph(f"bolt+s://localhost:{tls_neo4j}", retry=0.1) as graph, wrong:
        graph.check()


@pytest.mark.parametrize("scheme", ["bolt+s", "neo4j+s"])
def test_an_unknown_authority_is_named_with_and_without_routing(
    tls_neo4j: int, scheme: str
) -> None:
    with (
        Graph(f"{scheme}://localhost:{tls_neo4j}", retry=0.1) as graph,
        pytest.raises(GraphwriterError, match=r"(?i)certificate verify failed"),
    ):
        graph.check()


def test_nobody_at_the_address_is_named_with_routing() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # it does not listen
        uri = f"neo4j+s://127.0.0.1:{free.getsockname()[1]}"
        refused = pytest.raises(GraphwriterError, match=r"(?i)connection refused")
        with Graph(uri, retry=0.1) as graph, refused:
            graph.check()


@pytest.mark.parametrize(
    "url",
    [
        "redis://:12345#abcSECRET@host:1/0",
        "redis://gw:abcd@SEC/RET@host/0",
        "rediss://gw:abcd?SECRET@host/0",
        "redis+sentinel://gw:a/SECRET@host:1/name",
    ],
)
def test_a_password_that_would_be_cut_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="%2F, %23, %3F and %40") as error:
        connect(url, STREAM)
    assert "SEC" not in str(error.value)
    assert "12345" not in str(error.value)


@pytest.fixture
def tls_postgres(authority: trustme.CA, postgres_url: str) -> Iterator[int]:
    """The port of the run's PostgreSQL behind TLS."""
    front = Front(
        urlsplit(postgres_url).port or 5432, authority.issue_cert("localhost"), asked=True
    )
    yield front.port
    front.close()


def ask_postgres(host: str, port: int) -> None:
    sql = "SELECT 1 AS id, 1 AS channel_id, 1 AS tg_channel_id, 1 AS telegram_message_id, "
    selection = Selection(sql=sql + "now() AS posted_at")
    url = f"postgresql://postgres@{host}:{port}/postgres?sslmode=verify-full"
    with Database(url, selection) as database:
        assert database.count() == 1


def test_postgres_by_tls_with_the_right_authority(tls_postgres: int, trusted: None) -> None:
    ask_postgres("localhost", tls_postgres)


def test_postgres_by_tls_refuses_another_host(tls_postgres: int, trusted: None) -> None:
    with pytest.raises(ConfigError, match=r"(?i)certificate.*does not match host name"):
        ask_postgres("127.0.0.1", tls_postgres)


def test_postgres_by_tls_refuses_an_unknown_authority(tls_postgres: int) -> None:
    with pytest.raises(ConfigError, match=r"(?i)certificate verify failed"):
        ask_postgres("localhost", tls_postgres)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:pw@127.0.0.1/x", None),
        ("postgresql:///x?host=/run/postgresql", None),
        ("postgres://u:pw@db.example/x?sslmode=verify-full", None),
        ("postgresql://u:pw@db.example/x", "DATABASE_URL may send posts and passwords to db"),
        ("postgresql+asyncpg://u:pw@db.example/x?sslmode=prefer", "DATABASE_URL may send"),
        (
            "postgresql://u:pw@127.0.0.1,db.example/x?sslmode=require",
            "DATABASE_URL does not verify",
        ),
        ("postgresql:///x?host=db.example&sslmode=verify-ca", "DATABASE_URL does not verify"),
    ],
)
def test_a_link_to_postgres_that_others_can_read_is_named(url: str, said: str | None) -> None:
    """For the backfill alone: a worker has nothing to do with it, whatever DATABASE_URL says."""
    config = load({"DATABASE_URL": url, "GRAPH_WRITER_REQUIRE_TLS": "true"})
    assert config.exposed() == []
    if said is None:
        config.require("database_url")
        return
    with pytest.raises(ConfigError, match=said) as raised:
        config.require("database_url")
    assert "pw" not in str(raised.value).replace("passwords", "")


@pytest.mark.parametrize(
    ("redis_url", "neo4j_uri", "said"),
    [
        ("redis://127.0.0.1/0", "bolt://localhost:7687", []),
        ("unix:///run/redis.sock", "bolt://[::1]:7687", []),
        ("rediss://cache.example/0", "neo4j+s://graph.example", []),
        ("redis://cache.example/0", "bolt+s://10.0.0.1", ["REDIS_URL sends events and passwords"]),
        ("rediss+cluster://a.example,b.example", "bolt://127.0.0.1", []),
        (
            "redis+sentinel://127.0.0.1:1,b.example:2/posts",
            "bolt://127.0.0.1",
            ["REDIS_URL sends events and passwords"],
        ),
        ("redis://127.1.2.3", "neo4j://10.0.0.1", ["NEO4J_URI sends events and passwords"]),
        (
            "rediss://:pw@cache.example?ssl_cert_reqs=none",
            "bolt+ssc://graph.example",
            ["REDIS_URL does not verify", "NEO4J_URI does not verify"],
        ),
    ],
)
def test_a_link_that_others_can_read_is_named(
    redis_url: str, neo4j_uri: str, said: list[str]
) -> None:
    """A warning at the start, and an error where TLS is required; never with the password."""
    config = Config(redis_url=redis_url, neo4j_uri=neo4j_uri)
    assert [any(line.startswith(one) for one in said) for line in config.exposed()] == [True] * len(
        said
    )
    environ = {
        "REDIS_URL": redis_url,
        "NEO4J_URI": neo4j_uri,
        "GRAPH_WRITER_REQUIRE_TLS": "true",
    }
    if said:
        with pytest.raises(ConfigError, match="GRAPH_WRITER_REQUIRE_TLS is set, but ") as raised:
            load(environ)
        assert "pw" not in str(raised.value).replace("passwords", "")
    else:
        assert load(environ).require_tls


# Secrets


@pytest.mark.slow
def test_secrets_from_files_are_nowhere_to_be_read(tmp_path: Path) -> None:
    """Not in arguments, environments, logs, heartbeats or dead letters, whatever goes wrong."""
    with folder() as data:
        run_with_secrets(data, tmp_path)


def run_with_secrets(data: Path, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    with (
        started(Neo4j(data=data / "neo4j", password=SECRET)) as server,
        started(Valkey(data=data / "valkey", config={"requirepass": SECRET})) as valkey,
    ):
        (secrets / "redis").write_text(f"redis://:{SECRET}@{valkey.address}/0\n")
        (secrets / "neo4j").write_text(SECRET)
        environ = {
            "REDIS_URL_FILE": str(secrets / "redis"),
            "NEO4J_PASSWORD_FILE": str(secrets / "neo4j"),
            "NEO4J_URI": server.url,
            "GRAPH_WRITER_RUN_DIR": str(tmp_path / "run"),
            "GRAPH_WRITER_EXPORTER_PORT": "0",
            "GRAPH_WRITER_LOG_LEVEL": "DEBUG",
        }
        config = load(environ)
        with (tmp_path / "log").open("wb") as log, redis.Redis.from_url(config.redis_url) as client:
            pool = Pool(config, config.directory(), environ, log)
            pool.start()
            for fields in ({"data": "broken"}, {"data": json.dumps(event(1))}):
                client.xadd(STREAM, fields)
            until(lambda: client.xlen(f"{{{STREAM}}}:dead") == 1, 40)
            family = [psutil.Process(pool.pid), *psutil.Process(pool.pid).children(recursive=True)]
            for process in family:
                assert SECRET not in " ".join(process.cmdline())
                assert SECRET not in str(process.environ())
            ((_, letter),) = client.xrange(f"{{{STREAM}}}:dead")
            assert SECRET.encode() not in b"".join(letter.values())
            valkey.kill()
            server.kill()
            until(lambda: b"does not answer" in (tmp_path / "log").read_bytes(), 40)
            pool.stop()
    (secrets / "neo4j").write_text("another-" + SECRET)
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.parent != secrets:
            assert SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("url", ["redis://:{}@h/0", "redis://h/0?password={}"])
def test_a_password_on_the_command_line_is_refused(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "graphwriter", "status", "--redis-url", url.format(SECRET)],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 78
    assert "REDIS_URL_FILE" in done.stderr
    assert SECRET not in done.stdout + done.stderr


# Injection

CLASSICS = [
    "'}) DETACH DELETE n //",
    '"}) MATCH (n) DETACH DELETE n RETURN "',
    "` SET n.owned = true //",
    "$batch",
    "*/ MATCH (n) DETACH DELETE n /*",
    "\\u0027}) DETACH DELETE n //",
    "${jndi:ldap://127.0.0.1/a}",
    "x\x00'; CALL dbms.shutdown()",
]


@pytest.mark.parametrize("text", CLASSICS)
def test_text_of_an_event_is_never_cypher(
    neo4j_server: Server, graph_empty: neo4j.Driver, redis_client: redis.Redis, text: str
) -> None:
    """Every field that may hold text holds it, and the graph is the model's."""
    model = Model(time.time, digest)
    keep = event(99)
    hostile = event(
        1,
        post_id=text,
        channel_id=text,
        tenant_id=text,
        telegram_post_url=text,
        content_hash=text,
        text=text,
        forward_from_name=text,
        author_name=text,
        author_type=text,
    )
    for values in (keep, hostile):
        fields = {b"data": json.dumps(values).encode()}
        assert model.apply(fields) is None
        redis_client.xadd(STREAM, fields)  # type: ignore[arg-type]
    stream = Stream(
        "redis://{host}:{port}/{db}".format(**redis_client.connection_pool.connection_kwargs),
        STREAM,
        GROUP,
        "me",
        block=0.05,
    )
    with Graph(neo4j_server.uri, *(neo4j_server.auth or (None, None))) as graph:
        writer = Writer(stream, graph)
        while not writer.counts.entries:
            writer.run_once()
    stream.close()
    assert_same(model.graph(), read_graph(graph_empty))


def test_files_of_the_run_directory_are_not_followed_through_links(tmp_path: Path) -> None:
    """Whoever can plant a link there does not get another file overwritten by it."""
    treasure = tmp_path / "treasure"
    treasure.write_text("untouched")
    beat = tmp_path / "beat.json"
    kills = tmp_path / "watchdog.kills"
    before = [path.with_suffix(f".{os.getpid()}") for path in (beat, kills)]
    for planted in (beat, kills, *before, tmp_path / "name.lock"):
        planted.symlink_to(treasure)
    told = heartbeat.WorkerState("me", "s", "g", 1, 0.0, 0.0, 0.0, "starting", Counts())
    heartbeat.Heartbeat(beat, told).beat("writing", now=True)
    heartbeat.add_kills(tmp_path, 2)
    assert heartbeat.kills(tmp_path) == 2
    with pytest.raises(ConfigError, match=r"name\.lock"):
        files.Lock(tmp_path / "name.lock").take()
    assert treasure.read_text() == "untouched"
    assert beat.is_file()
    assert not beat.is_symlink()
    assert beat.stat().st_mode & 0o777 == 0o600
