"""Telling: each target in a thread of its own, all of them within the same bounded time.

A target that fails, or has not answered when the time is over, is left alone until the next time; the others are not
disturbed, and nothing is raised. When there is much to tell, it is told together. Belongs here: that. Does not belong
here: formats (`targets.py`) and what is written down of it (`book.py`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rally_pipeline.alerts.model import DeliveryError, Notice, Target, together

#: More notices than these are told as one.
_SINGLY = 10
#: A target that was aborted gets so long to come back.
_GRACE_SECONDS = 0.5


@dataclass
class Told:
    """What a target has taken, what it has not, and why."""

    delivered: list[Notice] = field(default_factory=list)
    left: list[Notice] = field(default_factory=list)
    failure: str = ""


def deliver(
    targets: Sequence[Target], notices: Mapping[str, Sequence[Notice]], timeout_seconds: float
) -> dict[str, Told]:
    """Tells each target its notices; returns after the timeout at the latest, but for half a second."""
    couriers = [
        _Courier(target, notices[target.name], timeout_seconds) for target in targets if notices.get(target.name)
    ]
    until = time.monotonic() + timeout_seconds
    for courier in couriers:
        courier.start()
    for courier in couriers:
        courier.join(max(0.0, until - time.monotonic()))
    for courier in (late := [one for one in couriers if one.is_alive()]):
        courier.target.abort()
    grace = time.monotonic() + _GRACE_SECONDS
    for courier in late:
        courier.join(max(0.0, grace - time.monotonic()))
    return {courier.target.name: courier.told() for courier in couriers}


class _Courier(threading.Thread):
    def __init__(self, target: Target, notices: Sequence[Notice], timeout_seconds: float) -> None:
        super().__init__(name=f"alerts-{target.name}", daemon=True)
        self.target = target
        self._notices = list(notices)
        self._timeout = timeout_seconds
        self._until = time.monotonic() + timeout_seconds
        self._lock = threading.Lock()
        self._taken = 0
        self._failure = ""
        self._is_closed = False

    def run(self) -> None:
        """Tells one after the other until all are told, one fails or the time is over."""
        while self._taken < len(self._notices):
            rest = self._until - time.monotonic()
            if rest <= 0:
                self._failure = f"not all was taken within {self._timeout:g} s"
                return
            waiting = self._notices[self._taken :]
            parcel = waiting[:1] if len(self._notices) <= _SINGLY else waiting
            try:
                self.target.send(parcel[0] if len(parcel) == 1 else together(parcel), rest)
            except DeliveryError as error:
                self._failure = str(error)
                return
            except Exception as error:  # whatever a target does is no fault of those who are told of
                self._failure = type(error).__name__
                return
            with self._lock:
                if self._is_closed:
                    return
                self._taken += len(parcel)

    def told(self) -> Told:
        """What came of it; what is taken after this is not counted."""
        with self._lock:
            self._is_closed = True
            taken = self._taken
        left = self._notices[taken:]
        failure = self._failure or (f"no answer within {self._timeout:g} s" if left else "")
        return Told(self._notices[:taken], left, failure if left else "")
