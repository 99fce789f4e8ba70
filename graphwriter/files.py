"""Small files that are replaced as a whole, so that readers never see half of one; locks."""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import stat
import time
from contextlib import suppress
from pathlib import Path

from graphwriter.errors import ConfigError, NameTaken

SIZE_LIMIT = 1 << 20  # bytes of a small file
PROBE = 1 << 15  # bytes, more than a heartbeat has


def read(path: Path, largest: int = SIZE_LIMIT) -> bytes:
    """Return the content of a file; raises OSError, also for a link, a pipe or a large file."""
    with open(path, "rb", opener=_plain) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        content = file.read(largest + 1)
    if len(content) > largest:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return content


def replace(path: Path, content: bytes, *, synced: bool = False) -> None:
    """Replace the file at `path` by a private one with `content`; raises OSError.

    A symbolic link at `path`, or at the temporary name, is replaced and never followed. With
    `synced` the content is on the disk before it replaces the file.
    """
    beside = path.with_suffix(f".{os.getpid()}")
    beside.unlink(missing_ok=True)
    with open(beside, "xb", opener=_plain) as file:
        file.write(content)
        if synced:
            file.flush()
            os.fsync(file.fileno())
    beside.replace(path)


def problem(path: Path) -> str | None:
    """Return why no file of a heartbeat's size can be written to a directory; None if it can."""
    probe = path / f"probe.{os.getpid()}"
    try:
        with open(probe, "wb", opener=_plain) as file:
            file.write(bytes(PROBE))
            file.flush()
    except OSError as error:
        return error.strerror or str(error)
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return None


def append(path: Path, content: bytes) -> None:
    """Append `content` to a file, which is created private if missing; raises OSError."""
    with open(path, "ab", opener=_plain) as file:
        file.write(content)


def _plain(path: str, flags: int) -> int:
    """Open without following a symbolic link, and without waiting for the end of a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)


def directory(path: Path, setting: str) -> Path:
    """Return a private directory, created if missing; raises ConfigError."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.lstat()
    except OSError as error:
        raise ConfigError(f"{setting} {path}: {error.strerror}") from None
    if path.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise ConfigError(
            f"{setting} {path} must be a directory that only our account can write to; it "
            f"{_problem(path, status)}"
        )
    return path


def _problem(path: Path, status: os.stat_result) -> str:
    """Return what it is instead, and how to correct it."""
    if path.is_symlink():
        return "is a symbolic link: give its target"
    if status.st_uid == os.geteuid():
        return f"has the mode {status.st_mode & 0o777:o}: chmod go-w {path}"
    owner, account = _account(status.st_uid), _account(os.geteuid())
    return f"belongs to {owner}, and we are {account}: run as {owner}, or use another directory"


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


class Lock:
    """A lock on a consumer name: two workers with one name would write the same entries twice.

    With `refusal` it is a lock on something else: the text says what the process that holds it,
    {pid}, does, and what a person can do.
    """

    def __init__(self, path: Path, refusal: str | None = None) -> None:
        self.path = path
        self._refusal = refusal or (
            f"process {{pid}} already works under this consumer name ({path.name}): "
            "stop it, or choose another --consumer-name"
        )
        self._file: int | None = None

    def take(self, wait: float = 0.0) -> None:
        """Take the lock, waiting up to `wait` seconds; the end of the process releases it.

        Raises:
            NameTaken: another process holds it.
            ConfigError: its file cannot be opened, or is a symbolic link.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            file = os.open(self.path, flags, 0o600)
        except OSError as error:
            raise ConfigError(f"lock file {self.path}: {error.strerror}") from None
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() < deadline:
                    time.sleep(0.1)
                    continue
                holder = os.read(file, 32).decode(errors="replace").strip() or "unknown"
                os.close(file)
                raise NameTaken(self._refusal.replace("{pid}", holder)) from None
            self._file = file
            self._name(os.getpid())
            return

    def restore(self) -> None:
        """Take the lock again on a new file if its file was deleted, as a cleaner of /tmp does.

        Without the file another process could take the name. Does nothing if that has happened, or
        if no file can be made now: call it again.
        """
        if self._file is None:
            return
        with suppress(OSError):
            if os.path.samestat(self.path.lstat(), os.fstat(self._file)):
                return
        old, self._file = self._file, None
        try:
            self.take()
        except (ConfigError, NameTaken):
            self._file = old
        else:
            os.close(old)

    @property
    def descriptor(self) -> int:
        """The descriptor of the lock's file, for a child that inherits the lock."""
        assert self._file is not None
        return self._file

    def hand_over(self, pid: int) -> None:
        """Let a child that inherited the descriptor hold the lock alone, until it exits."""
        self._name(pid)
        self.release()

    def _name(self, pid: int) -> None:
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, str(pid).encode(), 0)

    def release(self) -> None:
        """Release the lock. Safe to call twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Lock:
        self.take()
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()
