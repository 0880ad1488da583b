"""Fair queueing: no host and no workspace takes more than its share of the engine's slots.

Requests wait in lanes, one for each workspace at each host; lanes with room take turns. A lane whose host or workspace
is full leaves the rotation and waits at that share until an exchange there ends, so that waiting costs nothing.
"""

from collections import deque
from typing import NamedTuple

from jobs.egress import Target
from runs.attempts.contract import AttemptKey
from workers.delivery.contract import Crowded, DeliveryRequest

#: A request that waits longer for its share makes its lane crowded: the engine keeps no more requests for it.
PATIENCE_SECONDS = 0.25
#: A crowded share keeps this fraction of its limit waiting (1/4): enough to fill every slot that becomes free.
_KEPT_FRACTION = 4
_WAIT_SECONDS = (1.0, 30.0)
_SMOOTHING = 0.2

HostKey = tuple[str, int]


class Share:
    """The slots of one host or workspace. `backlog` estimates the requests ahead of one that is sent away."""

    __slots__ = ("backlog", "blocked_lanes", "ended", "lanes", "limit", "per_second", "under_way", "waiting")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.under_way = self.waiting = self.lanes = self.ended = 0
        self.backlog = 0.0
        self.per_second = float(limit)  # until it is measured: as if a call took a second
        self.blocked_lanes: deque[Lane] = deque()

    @property
    def full(self) -> bool:
        return self.under_way >= self.limit

    @property
    def surplus(self) -> int:
        """How many more wait than the share keeps; negative if there is room."""
        return self.waiting - max(1, self.limit // _KEPT_FRACTION)

    def measure(self, seconds: float) -> None:
        """Measure how fast slots become free. Below the limit that would only measure how few requests there are."""
        if self.full:
            self.per_second += _SMOOTHING * (self.ended / seconds - self.per_second)
        self.backlog = max(float(self.waiting), self.backlog - self.ended)
        self.ended = 0

    def send_away(self) -> float:
        """Estimate the seconds until a slot is free for one more request that can't wait here."""
        self.backlog += 1
        shortest, longest = _WAIT_SECONDS
        return min(longest, max(shortest, self.backlog / max(self.per_second, 0.1)))


class Waiting(NamedTuple):
    """A request in its lane. `since` is by `time.monotonic()`."""

    request: DeliveryRequest
    target: Target
    since: float


class Lane:
    """The queue of one workspace at one host. `crowded_by` is the share that it has waited too long for."""

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
    """All lanes in which requests wait. For the engine's thread; any thread may read the counters."""

    def __init__(self, *, per_host: int, per_workspace: int) -> None:
        self._per_host, self._per_workspace = per_host, per_workspace
        self._hosts: dict[HostKey, Share] = {}
        self._workspaces: dict[str | None, Share] = {}
        self._lanes: dict[tuple[str | None, HostKey], Lane] = {}
        self._rotation: deque[Lane] = deque()
        self._reviewed_at: float | None = None
        self.count = 0  # waiting requests
        self.crowded_count = 0  # of these, in crowded lanes

    @property
    def has_turns(self) -> bool:
        """Whether some lane may have room; `take` finds out."""
        return bool(self._rotation)

    def add(self, request: DeliveryRequest, target: Target, now: float) -> float | None:
        """Queue `request`. Returns None, or if the lane is crowded the seconds after which to try again."""
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
        """Take a slot for the next request that may start; `leave` gives it back. None if every lane is blocked."""
        while self._rotation:
            lane = self._rotation.popleft()
            blocked_by = lane.blocked_by
            if blocked_by is not None and lane.waiting:
                blocked_by.blocked_lanes.append(lane)
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
                self._rotation.append(lane)
            else:
                self._close(lane)
            return lane, waiting
        return None

    def leave(self, lane: Lane) -> None:
        """Give back the slot of an exchange that has ended."""
        for share in (lane.host, lane.workspace):
            share.under_way -= 1
            share.ended += 1
            if share.blocked_lanes:
                self._rotation.append(share.blocked_lanes.popleft())
        self._forget_idle(lane)

    def review(self, now: float) -> list[Crowded]:
        """Find the lanes that have waited too long for a share. Returns the requests to send away.

        Call it every PATIENCE_SECONDS, not every turn: its cost grows with the number of lanes.
        """
        seconds = now - self._reviewed_at if self._reviewed_at is not None else PATIENCE_SECONDS
        self._reviewed_at = now
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
        """Take the newest requests out of a crowded lane, but never the last one. The oldest comes back first."""
        count = min(share.surplus, len(lane.waiting) - 1)
        newest = [lane.waiting.pop().request for _ in range(count)]
        self._count(lane, -len(newest))
        return [Crowded(request, share.send_away()) for request in reversed(newest)]

    def remove(self, attempts: set[AttemptKey]) -> list[DeliveryRequest]:
        """Remove these attempts from their lanes. Returns the requests removed."""
        removed = []
        for lane in self._lanes.values():
            for waiting in [queued for queued in lane.waiting if queued.request.key in attempts]:
                lane.waiting.remove(waiting)
                self._count(lane, -1)
                self.crowded_count -= lane.crowded_by is not None
                removed.append(waiting.request)
        return removed

    def requests(self) -> list[DeliveryRequest]:
        """A snapshot of the waiting requests, for any thread."""
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
        self._rotation.append(lane)
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
        """A lane that can't use the slot that it was woken for leaves it to the next lane."""
        for share in (lane.host, lane.workspace):
            if share.blocked_lanes and not share.full:
                self._rotation.append(share.blocked_lanes.popleft())

    def _count(self, lane: Lane, change: int) -> None:
        self.count += change
        lane.host.waiting += change
        lane.workspace.waiting += change
