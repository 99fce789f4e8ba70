"""Least privilege in Redis: four roles, each with only the rights for its work."""

from __future__ import annotations

from graphwriter.stream.entry import tagged

# Commands that every connection of ours starts with.
_CONNECT = "+ping +hello +auth +select +client|setname +client|setinfo +multi +exec +discard"
_READ = "+xlen +exists +xrange +xrevrange +xpending +xinfo|groups +xinfo|stream +xinfo|consumers"
_SERVER = "+info +time"  # they show no event; CONFIG GET would show passwords
_SCRIPTS = "+eval +evalsha +script|load"


def users(stream: str, group: str) -> list[str]:
    """Return a line of an ACL file for each role, for Redis 7.2 or Valkey.

    None has a password: nobody can log in before `ACL SETUSER name >password`. A worker can add
    only dead letters, by a script in the server. It can also read facts, since the exporter of its
    pool uses the same URL.
    """
    tag = tagged(stream)
    dead, tries = f"{tag}:dead", f"{tag}:tries:{group}"
    worker = (
        f"~{stream} ~{dead} ~{tries} {_CONNECT} {_SCRIPTS} {_READ} {_SERVER} "
        "+xgroup|create +xgroup|setid +xgroup|delconsumer +xreadgroup +xautoclaim +xack "
        f"+hincrby +hdel +expire (~{dead} +xadd +xdel)"
    )
    roles = {
        "worker": worker,
        "producer": f"~{stream} {_CONNECT} +xadd",
        "operator": f"~{stream} ~{dead} {_CONNECT} {_SCRIPTS} {_READ} {_SERVER} "
        f"+xadd +xtrim +xgroup|delconsumer (~{dead} +xdel)",
        "watcher": f"%R~{stream} %R~{dead} {_CONNECT} {_READ} {_SERVER}",
    }
    return [f"user graphwriter-{name} on resetchannels -@all {may}" for name, may in roles.items()]
