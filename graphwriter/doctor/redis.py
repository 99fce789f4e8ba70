"""Checks of Redis itself: version, role, memory, and what it keeps on disk."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import Any

from graphwriter.doctor.finding import Finding, ok, wrong

REDIS, VALKEY = (6, 2), (8,)
FULL = 0.85  # share of the memory that is worth a look


def redis_version(redis_info: dict[str, Any]) -> Iterator[Finding]:
    """Redis is 6.2 or newer, Valkey 8 or newer."""
    valkey = redis_info.get("valkey_version")
    name, floor = ("Valkey", VALKEY) if valkey else ("Redis", REDIS)
    number = str(valkey or redis_info.get("redis_version", ""))
    if numbers(number) < floor:
        least = ".".join(map(str, floor))
        yield wrong(f"{name} {number} is older than {least}", "apt-get install redis-server")
    else:
        yield ok(f"{name} {number}")


def redis_role(redis_info: dict[str, Any]) -> Iterator[Finding]:
    """Redis is a primary, and has loaded its data."""
    if redis_info.get("role") in ("slave", "replica"):
        at = f"redis://{redis_info.get('master_host')}:{redis_info.get('master_port')}/0"
        yield wrong("Redis is a replica, which takes no writes", f"export REDIS_URL={quote(at)}")
    elif redis_info.get("loading"):
        yield wrong("Redis still loads its data from disk: wait", None)
    else:
        yield ok("Redis is a primary")


def memory_policy(redis_info: dict[str, Any], cli: str) -> Iterator[Finding]:
    """A Redis that is full refuses new events, and never deletes what it has."""
    policy = redis_info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        yield ok("maxmemory-policy is noeviction")
        return
    loses = "the stream with all events" if policy.startswith("allkeys") else "the tries it counts"
    mend = f"{cli} CONFIG SET maxmemory-policy noeviction"
    yield wrong(f"maxmemory-policy is {policy}: a full Redis deletes {loses}", mend)


def memory(redis_info: dict[str, Any]) -> Iterator[Finding]:
    """There is room for more events."""
    used, most = redis_info.get("used_memory", 0), redis_info.get("maxmemory", 0)
    limit, name = (most, "maxmemory") if most else (redis_info.get("total_system_memory", 0), "")
    if not limit:
        yield ok(f"{_size(used)} in use")
        return
    said = f"Redis uses {used / limit:.0%} of {name or 'the memory of its machine'}"
    said += f" ({_size(used)} of {_size(limit)})"
    if used < FULL * limit:
        yield ok(said)
    else:
        yield wrong(f"{said}: when it is full producers are refused", "graphwriter trim")


def disk(redis_info: dict[str, Any]) -> Iterator[Finding]:
    """What Redis wrote to its disk last went well; else it refuses writes."""
    failed = [
        name
        for name in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
        if redis_info.get(name, "ok") != "ok"
    ]
    if failed:
        yield wrong(f"Redis cannot write to its disk ({', '.join(failed)}): look there", "df -h")
    else:
        yield ok("Redis could write to its disk")


def persistence(
    redis_info: dict[str, Any], redis_saving: dict[str, str], cli: str
) -> Iterator[Finding]:
    """Events outlive a crash of Redis."""
    mend = f"{cli} CONFIG SET appendonly yes"
    if not redis_info.get("aof_enabled"):
        if redis_saving.get("save"):
            text = "appendonly is off: a crash loses all events since the last snapshot"
        else:
            text = "appendonly is off and no snapshot is made: a restart loses every event"
        yield wrong(text, mend)
    elif redis_saving.get("appendfsync") == "no":
        text = "appendfsync is no: a crash of the machine loses half a minute of events"
        yield wrong(text, f"{cli} CONFIG SET appendfsync everysec")
    else:
        yield ok(f"append-only file, synced {redis_saving.get('appendfsync')}")


def numbers(version: str) -> tuple[int, ...]:
    """Return such as (7, 2, 4)."""
    found = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        found.append(int(digits))
    return tuple(found)


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


CHECKS = (redis_version, redis_role, memory_policy, memory, disk, persistence)
