"""Starting a server for the whole run, or saying why there is none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from graphwriter.errors import Unavailable

if TYPE_CHECKING:
    from graphwriter.embedded import Service

S = TypeVar("S", bound="Service")


@contextmanager
def folder() -> Iterator[Path]:
    """Give a temporary folder that any account may enter: PostgreSQL of root runs as nobody."""
    path = Path(tempfile.mkdtemp(prefix="graphwriter-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def started(service: S) -> Iterator[S]:
    """Run a server. Where it cannot start, skip on a person's machine and fail in CI."""
    try:
        service.start()
    except Unavailable as error:
        unavailable(str(error))
    try:
        yield service
    finally:
        service.stop()


def unavailable(reason: str) -> None:
    """Skip the test, or fail it where CI is set: nobody would read the skip there."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


def version_of(package: str) -> str:
    """Return the installed version of a distribution, or say that there is none."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
