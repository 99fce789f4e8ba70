"""What the driver keeps in memory and a worker never uses."""

from __future__ import annotations

from neo4j._codec.packstream import v1


def release() -> None:
    """Give back the 10 MB that the driver's packer in Python keeps as tables of small integers.

    Where the packer in Rust is in use nothing looks at them. They are no part of the driver's
    interface: one that has them no more is left alone, and so is one without the Rust packer. For
    a process of our own only, since another user of the driver might count on them.
    """
    if getattr(v1, "_rust_pack", None) is None or getattr(v1, "_rust_unpack", None) is None:
        return
    for name in ("PACKED_UINT_16", "UNPACKED_UINT_16"):
        table: object = getattr(v1, name, None)
        if isinstance(table, list | dict):
            table.clear()
