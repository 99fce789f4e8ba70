"""In which order a transaction locks the messages of its batch: shared ones last, or all at once.

Pure. A node that a transaction has created stops every other one that merges it, until the commit,
and posts often reply to posts that another worker is writing. So a batch first writes its own
posts, which other workers seldom write, and merges what it shares with others last: then one
worker commits while another writes its posts. What is replied to comes before other targets: most
waits are for the post of a reply, and who waits must hold nothing that the other one still needs.
In one sorted list of all targets, every third transaction of four workers ended in a deadlock.

Two batches whose posts refer to each other's posts meet a deadlock in this order. In a stream that
is ordered by time this is rare, in a shuffled one it is common. So after a deadlock a worker locks
all messages of some batches at once, in one sorted order, which has no deadlock, and then tries
again. `python bench/orders.py` shows the rates.
"""

from __future__ import annotations

FEWEST, MOST = (
    8,
    1024,
)  # batches in one order after a deadlock: twice as many after each further one


class LockOrder:
    """Decides for each batch of one worker whether to lock all its messages in one order.

    Not exact if several threads share it: they then decide a little later.
    """

    def __init__(self) -> None:
        self._left, self._hold = 0, FEWEST

    def single(self) -> bool:
        """Return whether the next batch is to be locked in one order."""
        self._left -= self._left > 0
        return self._left > 0

    def wrote(self) -> None:
        """Note that a batch was written with its shared messages last, without a deadlock."""
        self._hold = max(self._hold // 2, FEWEST)

    def deadlock(self) -> None:
        """Note that a batch that was written so met a deadlock."""
        self._left, self._hold = self._hold + 1, min(self._hold * 2, MOST)
