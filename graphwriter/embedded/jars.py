"""Downloads the jars of Neo4j into the user's cache.

A lock file beside this module contains each artifact and its sha256. `python -m
graphwriter.embedded.jars VERSION > neo4j-VERSION.lock` makes a new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphwriter.embedded.service import needs
from graphwriter.errors import Unavailable

Progress = Callable[[int, int, int], None]  # done, total, bytes fetched so far

_AT_ONCE = 8  # parallel downloads; more were not faster
_TRIES = 3  # attempts of one download
_PATIENCE = 30  # seconds without a byte, then a download has failed
_WAIT = 900.0  # longest wait for another process that downloads the same jars, in seconds

# Dependencies in Neo4j's POM of which a Bolt server loads no class: the HTTP server, Parquet files,
# upload and dump, test tools. Those of TLS, plain logging and Cypher 25 are not in this list.
UNUSED = (
    "blue.strategic.parquet:",
    "com.fasterxml.jackson.jaxrs:",
    "com.fasterxml.jackson.module:",
    "com.github.luben:",
    "com.profesorfalken:",
    "com.sun.",
    "commons-pool:",
    "jakarta.",
    "javax.",
    "junit:",
    "net.bytebuddy:",
    "org.apache.hadoop:",
    "org.apache.parquet:",
    "org.codehaus.jettison:",
    "org.eclipse.jetty",
    "org.glassfish.",
    "org.hamcrest:",
    "org.javassist:",
    "org.jprocesses:",
    "org.jvnet.",
    "org.locationtech.jts:",
    "org.mockito:",
    "org.neo4j.licensing-proxy:",
    "org.neo4j:neo4j-push-to-cloud",
    "org.objenesis:",
    "org.scala-lang:scala-reflect",
    "org.xerial.snappy:",
)


@dataclass(frozen=True, slots=True)
class Artifact:
    """One jar: its Maven coordinate and its sha256."""

    group: str
    name: str
    version: str
    classifier: str
    sha256: str

    @property
    def path(self) -> Path:
        """Its path in a Maven repository."""
        tail = f"-{self.classifier}" if self.classifier else ""
        folder = Path(*self.group.split("."), self.name, self.version)
        return folder / f"{self.name}-{self.version}{tail}.jar"

    def __str__(self) -> str:
        parts = (self.group, self.name, self.version, self.classifier)
        return ":".join(part for part in parts if part)


def cache() -> Path:
    """Return the cache folder: GRAPH_WRITER_CACHE or the user's cache."""
    if chosen := os.environ.get("GRAPH_WRITER_CACHE"):
        return Path(chosen).absolute()
    return Path(needs("platformdirs").user_cache_dir("graphwriter"))


def locked(version: str) -> list[Artifact]:
    """Return the artifacts of a version of Neo4j. Raises Unavailable without a lock file."""
    file = Path(__file__).with_name(f"neo4j-{version}.lock")
    if not file.exists():
        known = sorted(path.stem.removeprefix("neo4j-") for path in file.parent.glob("*.lock"))
        raise Unavailable(f"no lock file for Neo4j {version}: choose one of {', '.join(known)}")
    lines = file.read_text(encoding="utf-8").splitlines()
    return [_artifact(*line.split()) for line in lines if line and not line.startswith("#")]


def classpath(version: str, progress: Progress | None = None) -> list[Path]:
    """Return the jars of a version of Neo4j; download those that are missing or were changed.

    A verified jar is trusted while its size and modification time stay the same, so a call with a
    full cache reads no jar and uses no network. Otherwise this blocks until all jars are in the
    cache, or a few attempts failed, and calls `progress` after every jar. Concurrent calls of other
    processes wait.

    Raises:
        Unavailable: a download failed, or had the wrong sha256 twice.
    """
    root = cache() / "jars"
    artifacts = locked(version)
    stamp = root / f"{version}.checked"
    if _stamp(root, artifacts) != _read(stamp):
        root.mkdir(parents=True, exist_ok=True)
        with _alone(root / "lock"):
            _complete(root, artifacts, progress)
            _replace(stamp, _stamp(root, artifacts))
    return [root / artifact.path for artifact in artifacts]


def _stamp(root: Path, artifacts: list[Artifact]) -> str:
    """Return a text that changes with the jars: sha256, size, time and name of each."""
    lines = []
    for artifact in artifacts:
        with contextlib.suppress(OSError):
            stat = (root / artifact.path).stat()
            lines.append(f"{artifact.sha256} {stat.st_size} {stat.st_mtime_ns} {artifact}\n")
    return "".join(lines) if len(lines) == len(artifacts) else "incomplete"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""


def _replace(file: Path, text: str) -> None:
    part = file.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    deadline = time.monotonic() + _WAIT
    with lock.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Unavailable(
                        f"another process holds {lock}: wait for it, or stop it"
                    ) from None
                time.sleep(0.2)
        yield


def _complete(root: Path, artifacts: list[Artifact], progress: Progress | None) -> None:
    missing = [a for a in artifacts if _sha256(root / a.path) != a.sha256]
    for artifact in missing:
        (root / artifact.path).unlink(missing_ok=True)  # wrong or truncated, if it exists
    done, size = len(artifacts) - len(missing), 0
    for left in root.glob("part-*"):  # of a killed process: we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=root, prefix="part-") as part:
        pool = ThreadPoolExecutor(_AT_ONCE)
        try:
            fetches = [pool.submit(_fetch, root, Path(part), artifact) for artifact in missing]
            for fetch in as_completed(fetches):
                size += fetch.result()
                done += 1
                if progress:
                    progress(done, len(artifacts), size)
        finally:
            pool.shutdown(cancel_futures=True)


def _fetch(root: Path, part: Path, artifact: Artifact) -> int:
    """Download and verify one jar, and return its size in bytes."""
    for last in (False, True):
        file = _download(part, artifact)
        found = _sha256(file)
        if found == artifact.sha256:
            target = root / artifact.path
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)
            return target.stat().st_size
        file.unlink()
        if last:
            break
    raise Unavailable(
        f"{artifact} has the sha256 {found} instead of {artifact.sha256}, twice:"
        " a proxy or mirror changes files of Maven Central"
    )


def _download(part: Path, artifact: Artifact) -> Path:
    maven = needs("jgo.maven")
    context = maven.MavenContext(repo_cache=part, timeout=_PATIENCE)
    component = context.project(artifact.group, artifact.name).at_version(artifact.version)
    for tries in range(1, _TRIES + 1):
        try:
            return Path(component.artifact(artifact.classifier, "jar").resolve())
        except Exception as error:  # noqa: BLE001 - jgo raises RuntimeError, its client its own
            (part / artifact.path).unlink(missing_ok=True)  # it may be incomplete
            if tries == _TRIES:
                raise Unavailable(
                    f"cannot download {artifact}: {error}; is Maven Central reachable?"
                ) from None
            time.sleep(tries)
    raise AssertionError


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def _artifact(coordinate: str, sha256: str) -> Artifact:
    group, name, version, *classifier = coordinate.split(":")
    return Artifact(group, name, version, "".join(classifier), sha256)


def _lock(version: str) -> Iterator[str]:
    """Yield the lines of a new lock file. Blocks for minutes: POMs are read one after another."""
    context = needs("jgo.maven").MavenContext(repo_cache=cache() / "resolve", timeout=_PATIENCE)
    coordinate = needs("jgo.parse").Coordinate
    root = context.create_dependency(coordinate("org.neo4j", "neo4j", version=version))
    inputs, others = context.resolver.resolve([root])
    wanted: list[Any] = [d.artifact for d in inputs]
    wanted += [d.artifact for d in others if d.scope in ("compile", "runtime")]
    wanted = [a for a in wanted if not f"{a.groupId}:{a.artifactId}".startswith(UNUSED)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        files = list(pool.map(lambda artifact: Path(artifact.resolve()), wanted))
    size = sum(file.stat().st_size for file in files) // 1_000_000
    yield f"# Neo4j {version} for a server on Bolt: {len(files)} jars, {size} MB."
    yield "# Made by python -m graphwriter.embedded.jars; what it leaves out: UNUSED there."
    for found, file in zip(wanted, files, strict=True):
        parts = (found.groupId, found.artifactId, found.version, found.classifier)
        yield f"{':'.join(part for part in parts if part)} {_sha256(file)}"


if __name__ == "__main__":
    print(*_lock(sys.argv[1]), sep="\n")
