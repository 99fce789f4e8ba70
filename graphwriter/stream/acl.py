"""Least privilege in Redis: what each role may do, and nothing else."""

from __future__ import annotations

from graphwriter.stream.consumer import tagged

# What any connection of ours says before it says anything else.
_CONNECT = "+ping +hello +auth +select +client|setname +client|setinfo +multi +exec +discard"
_LOOK = "+xlen +exists +xrange +xrevrange +xpending +xinfo|groups +xinfo|stream +xinfo|consumers"
_SERVER = "+info +time"  # no event in them; CONFIG GET would tell passwords
_SCRIPTS = "+eval +evalsha +script|load"


def users(stream: str, group: str) -> list[str]:
    """Return a line of an ACL file for each role, of a Redis of 7.2 or a Valkey.

    None has a password: nobody can log in as one until `ACL SETUSER name >password`. Writing dead
    letters, which their script does within the server, is all that a worker may add. A worker may
    look too, since the exporter of its pool has its URL.
    """
    tag = tagged(stream)
    dead, tries = f"{tag}:dead", f"{tag}:tries:{group}"
    worker = (
        f"~{stream} ~{dead} ~{tries} {_CONNECT} {_SCRIPTS} {_LOOK} {_SERVER} "
        "+xgroup|create +xgroup|setid +xreadgroup +xautoclaim +xack "
        f"+hincrby +hdel +expire (~{dead} +xadd +xdel)"
    )
    roles = {
        "worker": worker,
        "producer": f"~{stream} {_CONNECT} +xadd",
        "operator": f"~{stream} ~{dead} {_CONNECT} {_SCRIPTS} {_LOOK} {_SERVER} "
        f"+xadd +xtrim (~{dead} +xdel)",
        "watcher": f"%R~{stream} %R~{dead} {_CONNECT} {_LOOK} {_SERVER}",
    }
    return [f"user graphwriter-{name} on resetchannels -@all {may}" for name, may in roles.items()]
