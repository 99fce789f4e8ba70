"""Checks of the stream: events, the group, trimming, lag, dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from shlex import quote

from graphwriter import status
from graphwriter.doctor.facts import Facts
from graphwriter.doctor.finding import Finding, ok, wrong
from graphwriter.stream.entry import order
from graphwriter.text import age, counted
from graphwriter.worker import heartbeat

TRIM = "graphwriter trim"
MANY = 1000  # entries for each of several streams, from which on an uneven share is a finding
ONLY = "trim only with this, never by MAXLEN:"


def events(facts: Facts) -> Iterator[Finding]:
    """The stream exists, and something was added to it."""
    stream, name = facts.stream, facts.config.stream
    if stream.length or stream.added:
        added = "" if stream.added is None else f", {stream.added:,} added in total"
        yield ok(f"{name} has {counted(stream.length, 'entry')}{added}")
    elif any(one.length or one.added for one in facts.streams().values()):
        if facts.ends is None:
            text = f"the stream {name} does not exist, but others of GRAPH_WRITER_STREAM do"
            yield wrong(f"{text}: no worker and no producer with this setting has run", None)
        else:
            yield ok("nothing was ever added: no chat belongs to it")
    else:
        text = f"nothing was ever added to the stream {name}: no producer writes to it"
        yield wrong(f"{text}, or it has another name", "export GRAPH_WRITER_STREAM=NAME")


def group(facts: Facts) -> Iterator[Finding]:
    """The consumer group exists; workers create it when both servers answer."""
    name = facts.config.group
    if facts.stream.group_exists:
        yield ok(f"{name} exists")
        return
    others = [other.name for other in facts.groups]
    text = f"the consumer group {name} does not exist"
    if any(one.group_exists for one in facts.streams().values()):
        text += ", but it does in others of GRAPH_WRITER_STREAM"
        yield wrong(f"{text}: the workers run with another setting, restart them", None)
    elif others:
        similar = get_close_matches(name, others, 1) or others
        repair = f"export GRAPH_WRITER_CONSUMER_GROUP={quote(similar[0])}"
        yield wrong(f"{text}, but {', '.join(others[:5])} does", repair)
    elif any(state.there for state in facts.workers if state.doing != heartbeat.STOPPED):
        yield wrong(f"{text} yet: the workers create it when both servers answer", None)
    else:
        yield wrong(f"{text}: no worker has started yet", "graphwriter up")


def trimmed(facts: Facts) -> Iterator[Finding]:
    """No entry was trimmed or deleted before it was delivered."""
    stream, ends, workers, own = facts.stream, facts.ends, facts.workers, facts.own_group
    if ends is None or own is None:
        yield ok("nothing to lose: there is no group yet")
    elif stream.trimmed_unread:
        number = counted(stream.trimmed_unread, "entry")
        yield wrong(f"{number} trimmed before they were read, and lost; {ONLY}", TRIM)
    elif ends.deleted and ends.deleted > own.delivered:
        last = "-".join(map(str, ends.deleted))
        text = f"entries up to {last} were deleted before they were read, and are lost"
        yield wrong(f"{text}; to write them again:", "graphwriter backfill --all")
    elif own.lag is None and ends.first is not None and ends.first > own.delivered != (0, 0):
        text = "Redis does not know the lag of the group, and its last entry no longer exists"
        yield wrong(f"{text}: entries may have been trimmed before they were read; {ONLY}", TRIM)
    else:
        lost = sum(state.total.lost for state in workers)
        earlier = f"; {counted(lost, 'entry')} lost earlier, see the logs" if lost else ""
        yield ok(f"nothing unread was trimmed or deleted{earlier}")


def trimmed_pending(facts: Facts) -> Iterator[Finding]:
    """Pending entries are still in the stream; otherwise they are lost if their worker dies."""
    pending = facts.oldest_pending
    if pending is not None and pending.trimmed:
        text = f"{pending.trimmed:,} of the oldest pending entries were trimmed"
        yield wrong(f"{text}: lost if their worker dies; {ONLY}", TRIM)
    else:
        yield ok("all pending entries are still in the stream")


def backlog(facts: Facts) -> Iterator[Finding]:
    """The lag and its age; whether it grows takes two readings, see `status --watch`."""
    stream = facts.stream
    unread = "an unknown number" if stream.unread is None else f"{stream.unread:,}"
    oldest = ""
    if stream.oldest_unread is not None:
        oldest = f", the oldest for {age(max(0.0, facts.now - stream.oldest_unread))}"
    yield ok(f"{unread} unread{oldest}")


def dead_letters(facts: Facts) -> Iterator[Finding]:
    """No dead letter was added in the last day; older ones are not a finding."""
    stream, letters = facts.stream, facts.letters
    if not stream.dead:
        yield ok("no dead letters")
        return
    reasons = Counter(letter.reason for letter in letters)
    newest = ", ".join(f"{number} {reason}" for reason, number in reasons.most_common())
    text = f"{counted(stream.dead, 'dead letter')}; the newest: {newest}"
    if letters and (old := facts.now - order(letters[0].id)[0] / 1000) > status.RECENT_LETTERS:
        yield ok(f"{text}, {age(old)} ago")
    else:
        yield wrong(text, "graphwriter dead list")


def balance(facts: Facts) -> Iterator[Finding]:
    """Several streams have even shares of the events; chats of different size differ a little."""
    added = {name: one.added or one.length for name, one in facts.streams().items()}
    total = sum(added.values())
    if not added or total < MANY * len(added):
        return
    name = max(added, key=added.__getitem__)
    share, empty = added[name] / total, [one for one, number in added.items() if not number]
    if share > (len(added) + 1) / (2 * len(added)):  # half-way between an even share and everything
        text = f"{name} has {share:.0%} of all entries of {len(added)} streams"
        yield wrong(f"{text}: a chat is that busy, or a producer does not split them", None)
    elif empty:
        text = f"{len(empty)} of {len(added)} streams without any entry, such as {empty[0]}"
        yield wrong(f"{text}: a producer has another GRAPH_WRITER_STREAM, or chats are few", None)
    else:
        yield ok(f"the largest share of {len(added)} streams is {share:.0%}")


CHECKS = (events, group, trimmed, trimmed_pending, backlog, dead_letters, balance)
