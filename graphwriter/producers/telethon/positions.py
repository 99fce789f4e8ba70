"""How far each channel's history was read: one small file, so that reading goes on from there.

The file is replaced as a whole. It is behind what was published, never ahead: a position is noted
after the events before it are in the stream, and reading some again does no harm.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from graphwriter import files
from graphwriter.errors import ConfigError

_Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Positions:
    """The last message id of each channel, by its marked id, as `path` has it.

    Raises:
        ConfigError: the file is there and cannot be read, or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at: dict[int, int] = {}
        try:
            self._at = msgspec.json.decode(path.read_bytes(), type=dict[int, _Id])
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ConfigError(
                f"{path} has no positions of channels in it: remove it to read them from the start"
            ) from None

    def get(self, channel: int) -> int:
        """Return the id of the last message that is in the stream, 0 for none."""
        return self._at.get(channel, 0)

    def set(self, channel: int, message: int) -> None:
        """Note that everything up to `message` is in the stream."""
        if message <= self.get(channel):
            return
        self._at[channel] = message
        try:
            files.replace(self.path, msgspec.json.encode(self._at))
        except OSError as error:
            raise ConfigError(f"{self.path}: {error.strerror}") from None
