"""Least privilege in Redis: four roles, each with only the rights for its work."""

from __future__ import annotations

from graphwriter import partitions
from graphwriter.stream import pause

# Commands that every connection of ours starts with.
_CONNECT = "+ping +hello +auth +select +client|setname +client|setinfo +multi +exec +discard"
_READ = "+xlen +exists +xrange +xrevrange +xpending +xinfo|groups +xinfo|stream +xinfo|consumers"
_SERVER = "+info +time"  # they show no event; CONFIG GET would show passwords
_SCRIPTS = "+eval +evalsha +script|load"


def users(stream: str, group: str) -> list[str]:
    """Return a line of an ACL file for each role, for Redis 7.2 or Valkey; `stream` is the setting.

    None has a password: nobody can log in before `ACL SETUSER name >password`. A worker can add
    only dead letters, by a script in the server. It can also read facts, since the exporter of its
    pool uses the same URL.
    """
    names = partitions.names(stream)
    tags = [partitions.tagged(name) for name in names]
    dead, tries = [f"{tag}:dead" for tag in tags], [f"{tag}:tries:{group}" for tag in tags]
    pauses = [pause.key(name, group) for name in names]
    paused = _patterns("~", *pauses)
    keys, letters = _patterns("~", *names), _patterns("~", *dead)
    several, connect = "", _CONNECT
    if len(names) > 1:  # they may be in a cluster, where a worker waits for several nodes
        several, connect = "+xread ", f"{_CONNECT} +cluster|slots"
    worker = (
        f"{keys} {letters} {_patterns('~', *tries)} {_patterns('%R~', *pauses)} {connect} "
        f"{_SCRIPTS} {_READ} {_SERVER} +get "
        f"+xgroup|create +xgroup|setid +xgroup|delconsumer {several}+xreadgroup +xautoclaim +xack "
        f"+hincrby +hdel +expire ({letters} +xadd +xdel)"
    )
    roles = {
        "worker": worker,
        "producer": f"{keys} {connect} +xadd",
        "operator": f"{keys} {letters} {paused} {connect} {_SCRIPTS} {_READ} {_SERVER} "
        f"+xadd +xtrim +xgroup|delconsumer +get ({letters} +xdel) ({paused} +set +del)",
        "watcher": f"{_patterns('%R~', *names, *dead, *pauses)} {connect} {_READ} {_SERVER} +get",
    }
    return [f"user graphwriter-{name} on resetchannels -@all {may}" for name, may in roles.items()]


def _patterns(kind: str, *keys: str) -> str:
    return " ".join(f"{kind}{key}" for key in keys)
