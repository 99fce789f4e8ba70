"""The pool on this machine: supervisord with conf/supervisord.conf, as a child process."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from graphwriter import files
from graphwriter.config import Config
from graphwriter.errors import ConfigError, Unavailable
from graphwriter.worker import heartbeat

# Bytes of a path that a socket can be bound to: 107 on Linux, 103 on macOS, and supervisord appends
# its process id at first.
SOCKET = 96
ENDING = 1.0  # seconds for a supervisor that was just killed to be gone
STARTING, EACH = 30.0, 5.0  # seconds for a pool to come up, and for each worker beyond


def conf() -> Path:
    """Return the path of the supervisor's configuration: in the package, or beside a checkout's."""
    package = Path(__file__).parent.parent
    installed = package / "conf" / "supervisord.conf"
    return installed if installed.exists() else package.parent / "conf" / "supervisord.conf"


def check(directory: Path) -> None:
    """Raise what `Pool.start` would because of its run directory, before anything is started.

    Raises:
        NameTaken: a pool runs in it.
        ConfigError: its path is too long for the supervisor's socket.
    """
    lock = _lock(directory)
    lock.take(wait=ENDING)
    lock.release()


def _lock(directory: Path) -> files.Lock:
    size = len(os.fsencode(directory / "supervisor.sock"))
    if size > SOCKET:
        raise ConfigError(
            f"--run-dir {directory} is too long: with /supervisor.sock it has {size} bytes, and a "
            f"socket's path may have {SOCKET}"
        )
    return files.Lock(
        directory / "pool.lock",
        f"process {{pid}} already runs a pool in {directory}: stop it first, for more --workers "
        "too; a pool for another --stream takes another --run-dir and --exporter-port",
    )


def _there(worker: heartbeat.WorkerState, begun: float) -> bool:
    """Return whether this is no file that a worker left which was killed long ago.

    One of a killed supervisor may still be there: ours waits for its name.
    """
    return worker.started >= begun or worker.there


class Pool:
    """supervisord, its workers, watchdog and exporter, from `start` to `stop`.

    Args:
        directory: run directory of this pool alone.
        environ: variables for the workers, beside those of this process.
        output: where supervisord and the workers log; None: our own standard output.
    """

    def __init__(
        self,
        config: Config,
        directory: Path,
        environ: Mapping[str, str] | None = None,
        output: IO[bytes] | None = None,
    ) -> None:
        self.config, self.directory = config, directory
        self._environ, self._output = dict(environ or {}), output
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        assert self._process is not None
        return self._process.pid

    def start(
        self, wait: float | None = None, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        """Start the supervisor, and return when every worker has given a sign of life.

        Returns before where `stopping` says so: there is a pool to `stop` all the same.

        Raises:
            NameTaken: another pool runs in our directory.
            ConfigError: the supervisor ended.
            Unavailable: the workers did not come up in `wait` seconds, as on a busy machine.
        """
        lock = _lock(self.directory)
        lock.take(wait=ENDING)
        begun = time.time()
        # Root is not told at each start what root may do.
        root = [] if os.geteuid() else ["-u", "0"]
        programs = Path(sys.executable).parent  # where graphwriter-worker lies beside python
        self._process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(conf()), *root],
            env={
                **os.environ,
                "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
                **self._environ,
                "GRAPH_WRITER_WORKERS": str(self.config.workers),
                "GRAPH_WRITER_RUN_DIR": str(self.directory),
                "GRAPH_WRITER_EXPORTER": str(self.config.exporter).lower(),
                "GRAPH_WRITER_STOP_WAIT": str(math.ceil(self.config.stop_wait)),
            },
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            pass_fds=[lock.descriptor],
            start_new_session=True,  # Ctrl-C reaches us alone, and we stop them in good order
        )
        # The supervisor's, not ours: where we are killed it stays, and is still this directory's.
        lock.hand_over(self._process.pid)
        wait = STARTING + EACH * self.config.workers if wait is None else wait
        deadline = time.monotonic() + wait
        while sum(_there(each, begun) for each in self.workers()) < self.config.workers:
            if stopping():
                return
            if self._process.poll() is not None:
                raise ConfigError(f"supervisord ended with code {self._process.returncode}")
            if time.monotonic() > deadline:
                self.stop()
                raise Unavailable(
                    f"the workers did not come up in {wait:.0f} s: see what supervisord printed"
                )
            time.sleep(0.05)

    def workers(self) -> list[heartbeat.WorkerState]:
        """Return what each worker last said of itself."""
        return list(heartbeat.read_all(self.directory))

    @property
    def alive(self) -> bool:
        """Whether any worker's process is there."""
        return any(each.there for each in self.workers())

    @property
    def running(self) -> bool:
        """Whether the supervisor is there."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Stop the workers after the batches in hand, then the supervisor. Safe to call twice.

        Blocks for at most the time that workers get to stop.

        Raises:
            Unavailable: the supervisor did not end.
        """
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(self.config.stop_wait + 10)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"supervisord, process {process.pid}, does not end") from None
