"""Checks of Redis: version, role, memory, and persistence."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from graphwriter.doctor.facts import Facts
from graphwriter.doctor.finding import Finding, ok, wrong
from graphwriter.text import size

OLDEST_REDIS, OLDEST_VALKEY = (6, 2), (8,)
FULL = 0.85  # share of the memory from which on there is a finding


def redis_version(facts: Facts) -> Iterator[Finding]:
    """Redis is 6.2 or newer, Valkey 8 or newer."""
    info = facts.redis_info
    valkey = info.get("valkey_version")
    name, oldest = ("Valkey", OLDEST_VALKEY) if valkey else ("Redis", OLDEST_REDIS)
    version = str(valkey or info.get("redis_version", ""))
    if numbers(version) < oldest:
        least = ".".join(map(str, oldest))
        yield wrong(f"{name} {version} is older than {least}", "apt-get install redis-server")
    else:
        yield ok(f"{name} {version}")


def redis_role(facts: Facts) -> Iterator[Finding]:
    """Redis is a primary, and has loaded its data."""
    info = facts.redis_info
    if info.get("role") in ("slave", "replica"):
        url = f"redis://{info.get('master_host')}:{info.get('master_port')}/0"
        yield wrong("Redis is a replica, which takes no writes", f"export REDIS_URL={quote(url)}")
    elif info.get("loading"):
        yield wrong("Redis is still loading its data from disk: wait", None)
    else:
        yield ok("Redis is a primary")


def memory_policy(facts: Facts) -> Iterator[Finding]:
    """A full Redis refuses new events, and never deletes data."""
    policy = facts.redis_info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        yield ok("maxmemory-policy is noeviction")
        return
    deletes = "the stream with all events" if policy.startswith("allkeys") else "counters of tries"
    repair = f"{facts.cli} CONFIG SET maxmemory-policy noeviction"
    yield wrong(f"maxmemory-policy is {policy}: a full Redis deletes {deletes}", repair)


def memory(facts: Facts) -> Iterator[Finding]:
    """There is memory for more events."""
    info = facts.redis_info
    used, most = info.get("used_memory", 0), info.get("maxmemory", 0)
    limit, name = (most, "maxmemory") if most else (info.get("total_system_memory", 0), "")
    if not limit:
        yield ok(f"{size(used)} in use")
        return
    text = f"Redis uses {used / limit:.0%} of {name or 'the memory of its machine'}"
    text += f" ({size(used)} of {size(limit)})"
    if used < FULL * limit:
        yield ok(text)
    else:
        yield wrong(f"{text}: a full Redis refuses producers", "graphwriter trim")


def disk(facts: Facts) -> Iterator[Finding]:
    """The last writes to disk succeeded; otherwise Redis refuses writes."""
    names = ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
    failed = [name for name in names if facts.redis_info.get(name, "ok") != "ok"]
    if failed:
        yield wrong(f"Redis cannot write to its disk ({', '.join(failed)}): check it", "df -h")
    else:
        yield ok("the last writes of Redis to its disk succeeded")


def persistence(facts: Facts) -> Iterator[Finding]:
    """Events survive a crash of Redis."""
    info, directives, cli = facts.redis_info, facts.redis_persistence, facts.cli
    if not info.get("aof_enabled"):
        if directives.get("save"):
            text = "appendonly is off: a crash loses all events since the last snapshot"
        else:
            text = "appendonly is off and no snapshot is made: a restart loses every event"
        yield wrong(text, f"{cli} CONFIG SET appendonly yes")
    elif directives.get("appendfsync") == "no":
        text = "appendfsync is no: a crash of the machine loses half a minute of events"
        yield wrong(text, f"{cli} CONFIG SET appendfsync everysec")
    else:
        yield ok(f"append-only file, synced {directives.get('appendfsync')}")


def numbers(version: str) -> tuple[int, ...]:
    """Return a version such as "7.2.4-rc" as numbers: (7, 2, 4)."""
    found = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        found.append(int(digits))
    return tuple(found)


CHECKS = (redis_version, redis_role, memory_policy, memory, disk, persistence)
