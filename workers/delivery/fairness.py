"""Who goes next: no host and no workspace takes more than its share of the engine's places.

Requests wait in lanes, one for each workspace at each host; lanes with room take turns. A lane that finds its host or
its workspace full leaves the round and waits at that share, until an exchange there ends: what waits costs nothing.
"""

from collections import deque
from typing import NamedTuple

from jobs.egress import Target
from runs.attempts.contract import AttemptKey
from workers.delivery.contract import Crowded, DeliveryRequest

#: A request that waits longer for its share makes its lane crowded: more of the same is not kept here.
PATIENCE_SECONDS = 0.25
#: How many may wait at a crowded share, as a part of its limit: enough to fill every place that comes free.
_KEPT_PART = 4
_WAIT_SECONDS = (1.0, 30.0)
_SMOOTHING = 0.2

HostKey = tuple[str, int]


class Share:
    """What one host or one workspace takes of the places. `line` is how many are ahead of one that is sent away."""

    __slots__ = ("held_up", "lanes", "left", "limit", "line", "per_second", "under_way", "waiting")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.under_way = self.waiting = self.lanes = self.left = 0
        self.line = 0.0
        self.per_second = float(limit)  # until it is known: as if a call took a second
        self.held_up: deque[Lane] = deque()

    @property
    def full(self) -> bool:
        return self.under_way >= self.limit

    @property
    def surplus(self) -> int:
        """How many more wait than are worth keeping; below 0 there is room."""
        return self.waiting - max(1, self.limit // _KEPT_PART)

    def measure(self, seconds: float) -> None:
        """Follow how fast places come free. While the share isn't full that only tells how little is asked of it."""
        if self.full:
            self.per_second += _SMOOTHING * (self.left / seconds - self.per_second)
        self.line = max(float(self.waiting), self.line - self.left)
        self.left = 0

    def send_away(self) -> float:
        """Seconds after which a place should be free for one more that can't wait here."""
        self.line += 1
        shortest, longest = _WAIT_SECONDS
        return min(longest, max(shortest, self.line / max(self.per_second, 0.1)))


class Waiting(NamedTuple):
    """A request in its lane. `since` is by `time.monotonic()`."""

    request: DeliveryRequest
    target: Target
    since: float


class Lane:
    """What waits for one workspace at one host, in order. `crowded_by` is the share that it waits too long for."""

    __slots__ = ("crowded_by", "host", "key", "waiting", "workspace")

    def __init__(self, key: tuple[str | None, HostKey], host: Share, workspace: Share) -> None:
        self.key = key
        self.host = host
        self.workspace = workspace
        self.waiting: deque[Waiting] = deque()
        self.crowded_by: Share | None = None

    @property
    def blocked_by(self) -> Share | None:
        if self.host.full:
            return self.host
        return self.workspace if self.workspace.full else None


class Lanes:
    """Every lane that something waits in. For the engine's thread; the counters may be read by any."""

    def __init__(self, *, per_host: int, per_workspace: int) -> None:
        self._per_host, self._per_workspace = per_host, per_workspace
        self._hosts: dict[HostKey, Share] = {}
        self._workspaces: dict[str | None, Share] = {}
        self._lanes: dict[tuple[str | None, HostKey], Lane] = {}
        self._round: deque[Lane] = deque()
        self._looked_at: float | None = None
        self.count = 0  # all that wait
        self.crowded_count = 0  # of them, in crowded lanes

    @property
    def has_turns(self) -> bool:
        """If some lane may have room; `take` finds out."""
        return bool(self._round)

    def add(self, request: DeliveryRequest, target: Target, now: float) -> float | None:
        """Let `request` wait. A crowded lane does not keep it: answers the seconds after which to come back."""
        key = (request.workspace_id, (target.host, target.port))
        lane = self._lanes.get(key) or self._open(key)
        crowded = lane.crowded_by
        if crowded is not None:
            if crowded.surplus >= 0:
                return crowded.send_away()
            self.crowded_count += 1
        lane.waiting.append(Waiting(request, target, now))
        self._count(lane, 1)
        return None

    def take(self) -> tuple[Lane, Waiting] | None:
        """The next request that may start, its place taken; `leave` gives it back. None: all that wait are held up."""
        while self._round:
            lane = self._round.popleft()
            blocked_by = lane.blocked_by
            if blocked_by is not None and lane.waiting:
                blocked_by.held_up.append(lane)
                self._pass_on(lane)
                continue
            if not lane.waiting:
                self._close(lane)
                self._pass_on(lane)
                continue
            waiting = lane.waiting.popleft()
            self._count(lane, -1)
            self.crowded_count -= lane.crowded_by is not None
            lane.host.under_way += 1
            lane.workspace.under_way += 1
            if lane.waiting:
                self._round.append(lane)
            else:
                self._close(lane)
            return lane, waiting
        return None

    def leave(self, lane: Lane) -> None:
        """An exchange that `take` let start has ended."""
        for share in (lane.host, lane.workspace):
            share.under_way -= 1
            share.left += 1
            if share.held_up:
                self._round.append(share.held_up.popleft())
        self._forget_idle(lane)

    def look(self, now: float) -> list[Crowded]:
        """See which lanes wait too long for a share. Returns what need not wait here. Call it every PATIENCE_SECONDS.

        Its cost follows from the number of lanes, which is why it isn't part of every turn.
        """
        seconds = now - self._looked_at if self._looked_at is not None else PATIENCE_SECONDS
        self._looked_at = now
        for share in (*self._hosts.values(), *self._workspaces.values()):
            share.measure(max(seconds, 0.001))
        sent_away: list[Crowded] = []
        for lane in self._lanes.values():
            late = bool(lane.waiting) and now - lane.waiting[0].since > PATIENCE_SECONDS
            lane.crowded_by = lane.blocked_by if late else None
            if lane.crowded_by is not None:
                sent_away += self._thin_out(lane, lane.crowded_by)
        self.crowded_count = sum(len(lane.waiting) for lane in self._lanes.values() if lane.crowded_by is not None)
        return sent_away

    def _thin_out(self, lane: Lane, share: Share) -> list[Crowded]:
        """Take the newest out of a crowded lane, all but one at most; of those the oldest comes back first."""
        count = min(share.surplus, len(lane.waiting) - 1)
        newest = [lane.waiting.pop().request for _ in range(count)]
        self._count(lane, -len(newest))
        return [Crowded(request, share.send_away()) for request in reversed(newest)]

    def remove(self, attempts: set[AttemptKey]) -> list[DeliveryRequest]:
        """Take these out of their lanes. Returns those that waited."""
        removed = []
        for lane in self._lanes.values():
            for waiting in [one for one in lane.waiting if one.request.key in attempts]:
                lane.waiting.remove(waiting)
                self._count(lane, -1)
                self.crowded_count -= lane.crowded_by is not None
                removed.append(waiting.request)
        return removed

    def requests(self) -> list[DeliveryRequest]:
        """All that wait; a snapshot for any thread."""
        return [waiting.request for lane in list(self._lanes.values()) for waiting in list(lane.waiting)]

    def _open(self, key: tuple[str | None, HostKey]) -> Lane:
        workspace_id, host = key
        lane = Lane(
            key,
            self._hosts.get(host) or self._hosts.setdefault(host, Share(self._per_host)),
            self._workspaces.get(workspace_id) or self._workspaces.setdefault(workspace_id, Share(self._per_workspace)),
        )
        lane.host.lanes += 1
        lane.workspace.lanes += 1
        self._lanes[key] = lane
        self._round.append(lane)
        return lane

    def _close(self, lane: Lane) -> None:
        del self._lanes[lane.key]
        lane.host.lanes -= 1
        lane.workspace.lanes -= 1
        self._forget_idle(lane)

    def _forget_idle(self, lane: Lane) -> None:
        workspace_id, host = lane.key
        if not lane.host.under_way and not lane.host.lanes:
            self._hosts.pop(host, None)
        if not lane.workspace.under_way and not lane.workspace.lanes:
            self._workspaces.pop(workspace_id, None)

    def _pass_on(self, lane: Lane) -> None:
        """A lane that came up and can't go: what it was called for may serve the next that waits for it."""
        for share in (lane.host, lane.workspace):
            if share.held_up and not share.full:
                self._round.append(share.held_up.popleft())

    def _count(self, lane: Lane, change: int) -> None:
        self.count += change
        lane.host.waiting += change
        lane.workspace.waiting += change
