"""Checks of the stream: events, the group, what was trimmed, dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from shlex import quote

from graphwriter import status
from graphwriter.config import Config
from graphwriter.doctor.finding import Finding, ok, wrong
from graphwriter.stream import DeadLetter
from graphwriter.stream.client import order
from graphwriter.stream.info import Ends, Group
from graphwriter.stream.looking import Seen
from graphwriter.text import age, counted
from graphwriter.worker import heartbeat


def events(look: Seen, config: Config) -> Iterator[Finding]:
    """There is a stream, and something was added to it."""
    if look.length or look.added:
        added = "" if look.added is None else f", {look.added:,} since ever"
        yield ok(f"{config.stream} holds {look.length:,}{added}")
    else:
        text = f"nothing was ever added to the stream {config.stream}: no producer writes there"
        yield wrong(f"{text}, or it has another name", "export GRAPH_WRITER_STREAM=NAME")


def group(
    look: Seen, groups: list[Group], workers: list[heartbeat.WorkerState], config: Config
) -> Iterator[Finding]:
    """The consumer group is there; workers make it once both servers answer."""
    if look.group_exists:
        yield ok(f"{config.group} is there")
        return
    others = [one.name for one in groups]
    text = f"the consumer group {config.group} is not there"
    if others:
        near = get_close_matches(config.group, others, 1) or others
        mend = f"export GRAPH_WRITER_CONSUMER_GROUP={quote(near[0])}"
        yield wrong(f"{text}, but {', '.join(others[:5])} is", mend)
    elif any(one.there for one in workers if one.doing != heartbeat.STOPPED):
        text = f"{text} yet: the workers make it once both servers answer them"
        yield wrong(text, None)
    else:
        yield wrong(f"{text}: no worker has started yet", "graphwriter up")


def trimmed(
    look: Seen,
    ends: Ends | None,
    groups: list[Group],
    workers: list[heartbeat.WorkerState],
    config: Config,
) -> Iterator[Finding]:
    """Nothing went from the stream before the group was given it."""
    own = next((one for one in groups if one.name == config.group), None)
    if ends is None or own is None:
        yield ok("nothing to lose: there is no group yet")
    elif look.trimmed_unread:
        number = counted(look.trimmed_unread, "entry")
        yield wrong(f"{number} trimmed before they were read, and lost; {ONLY}", TRIM)
    elif ends.deleted and ends.deleted > own.delivered:
        last = "-".join(map(str, ends.deleted))
        text = f"entries up to {last} were deleted before they were read, and are lost"
        yield wrong(f"{text}; to have them again:", "graphwriter backfill --all")
    elif own.lag is None and ends.first is not None and ends.first > own.delivered != (0, 0):
        text = (
            "Redis does not know what the group has not read, and its last entry is no more there"
        )
        yield wrong(f"{text}: entries may have been trimmed before they were read; {ONLY}", TRIM)
    else:
        lost = sum(one.total.lost for one in workers)
        before = f"; {counted(lost, 'entry')} were lost before, see the logs" if lost else ""
        yield ok(f"nothing unread was trimmed or deleted{before}")


def trimmed_pending(gone: int) -> Iterator[Finding]:
    """What workers have in hand is still in the stream: else it is lost with them."""
    if gone:
        text = f"{gone:,} of the oldest pending entries were trimmed: lost if their worker ends"
        yield wrong(f"{text}; {ONLY}", TRIM)
    else:
        yield ok("what is pending is still in the stream")


ONLY = "trim with this alone, never by MAXLEN:"
TRIM = "graphwriter trim"


def backlog(look: Seen, now: float) -> Iterator[Finding]:
    """How much is unread, and for how long; falling behind is told by two looks, not by one."""
    unread = "an unknown number" if look.unread is None else f"{look.unread:,}"
    waits = ""
    if look.oldest_unread is not None:
        waits = f", the oldest for {age(max(0.0, now - look.oldest_unread))}"
    yield ok(f"{unread} unread{waits}")


def dead_letters(look: Seen, letters: tuple[DeadLetter, ...], now: float) -> Iterator[Finding]:
    """No entry was refused for good since yesterday: older dead letters are known."""
    if not look.dead:
        yield ok("no dead letters")
        return
    reasons = Counter(letter.reason for letter in letters)
    newest = ", ".join(f"{number} {word}" for word, number in reasons.most_common())
    text = f"{counted(look.dead, 'dead letter')}; the newest: {newest}"
    if letters and (old := now - order(letters[0].id)[0] / 1000) > status.NEWS:
        yield ok(f"{text}, {age(old)} ago")
    else:
        yield wrong(text, "graphwriter dead list")


CHECKS = (events, group, trimmed, trimmed_pending, backlog, dead_letters)
