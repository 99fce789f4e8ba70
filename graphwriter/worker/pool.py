"""The pool of this machine: supervisord with conf/supervisord.conf, as a child process."""

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

# Bytes of a socket's path: at most 107 on Linux and 103 on macOS, and supervisord first appends its
# process id.
SOCKET_PATH_LIMIT = 96
EXIT_TIME = 1.0  # seconds that a supervisor which was just killed needs to exit
START_TIME, START_TIME_EACH = 30.0, 5.0  # seconds for a pool to start, and more for each worker


def conf() -> Path:
    """Return the path of the supervisor's configuration: in the package, or in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "conf" / "supervisord.conf"
    return installed if installed.exists() else package.parent / "conf" / "supervisord.conf"


def check(directory: Path) -> None:
    """Raise what `Pool.start` would raise for its run directory, before anything is started.

    Raises:
        NameTaken: a pool runs in it already.
        ConfigError: its path is too long for the supervisor's socket.
    """
    lock = _lock(directory)
    lock.take(wait=EXIT_TIME)
    lock.release()


def _lock(directory: Path) -> files.Lock:
    size = len(os.fsencode(directory / "supervisor.sock"))
    if size > SOCKET_PATH_LIMIT:
        raise ConfigError(
            f"--run-dir {directory} is too long: with /supervisor.sock it has {size} bytes, and a "
            f"socket's path may have {SOCKET_PATH_LIMIT}"
        )
    return files.Lock(
        directory / "pool.lock",
        f"process {{pid}} already runs a pool in {directory}: stop it first, also to change "
        "--workers; a pool for another --stream needs another --run-dir and --exporter-port",
    )


def _has_started(worker: heartbeat.WorkerState, begun: float) -> bool:
    """Return whether a worker runs under this name, and did not just leave its file long ago.

    It may be one of a killed supervisor: the new worker waits until it has exited.
    """
    return worker.started >= begun or worker.there


class Pool:
    """supervisord, its workers, watchdog and exporter, from `start` to `stop`.

    Args:
        directory: run directory, used by this pool only.
        environ: variables for the workers, added to those of this process.
        output: where supervisord and the workers log; None: the standard output of this process.
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
        """Start the supervisor, and return when every worker has written its heartbeat.

        Returns earlier if `stopping` returns true; call `stop` in that case too.

        Raises:
            NameTaken: another pool runs in the directory.
            ConfigError: the supervisor exited.
            Unavailable: the workers did not start within `wait` seconds, as on a busy machine.
        """
        lock = _lock(self.directory)
        lock.take(wait=EXIT_TIME)
        begun = time.time()
        # Without this supervisord warns root at each start.
        root = [] if os.geteuid() else ["-u", "0"]
        programs = Path(sys.executable).parent  # graphwriter-worker is installed beside python
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
            start_new_session=True,  # only we get Ctrl-C, and stop them in order
        )
        # The supervisor holds the lock: if we are killed it goes on, and still owns the directory.
        lock.hand_over(self._process.pid)
        wait = START_TIME + START_TIME_EACH * self.config.workers if wait is None else wait
        deadline = time.monotonic() + wait
        while sum(_has_started(each, begun) for each in self.workers()) < self.config.workers:
            if stopping():
                return
            if self._process.poll() is not None:
                raise ConfigError(f"supervisord exited with code {self._process.returncode}")
            if time.monotonic() > deadline:
                self.stop()
                raise Unavailable(
                    f"the workers did not start within {wait:.0f} s: see what supervisord printed"
                )
            time.sleep(0.05)

    def workers(self) -> list[heartbeat.WorkerState]:
        """Return the last heartbeat of each worker."""
        return list(heartbeat.read_all(self.directory))

    @property
    def alive(self) -> bool:
        """Whether any worker's process runs."""
        return any(each.there for each in self.workers())

    @property
    def running(self) -> bool:
        """Whether the supervisor runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Stop the workers after their current batches, then the supervisor. Safe to call twice.

        Blocks for at most the stop time of workers and ten seconds.

        Raises:
            Unavailable: the supervisor did not exit.
        """
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(self.config.stop_wait + 10)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"supervisord, process {process.pid}, does not exit") from None
