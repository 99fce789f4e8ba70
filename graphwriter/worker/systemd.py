"""Telling systemd how we are, where it started us: a datagram to the socket that it named."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def tell(**said: object) -> None:
    """Send assignments such as READY=1 (see sd_notify(3)); nothing where nobody listens.

    Neither blocks nor raises: a notice that is lost is followed by another.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    text = "\n".join(f"{name}={value}" for name, value in said.items())
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notice:
        notice.setblocking(False)
        notice.sendto(text.encode(), address.replace("@", "\0", 1))
