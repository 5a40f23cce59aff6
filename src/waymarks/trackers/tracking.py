"""Keeping trackers informed without ever waiting for one."""

import logging
import queue
import threading
from collections.abc import Iterable, Sequence

from waymarks.trackers.base import Metrics, Subject, Tracker

PATIENCE = 60.0
"""Seconds that a tracker is given at the end of a run to take in what it was told."""

logger = logging.getLogger("waymarks.trackers")


class Tracking:
    """The trackers of one run, each in a thread of its own.

    A tracker that fails, or does not answer, is off for this run: one warning is logged, and
    the run goes on as if it had not been asked for.
    """

    def __init__(self, kinds: Iterable[type[Tracker]], subject: Subject | None) -> None:
        self._kinds = tuple(kinds)
        self._subject = subject
        self._followers: list[_Follower] = []

    def begin(self, history: Sequence[Metrics]) -> None:
        """Starts the trackers.

        Args:
            history: the run's evaluations so far; those that a tracker lacks are logged to it.
        """
        if self._subject is not None:
            self._followers = [_Follower(kind(), self._subject) for kind in self._kinds]
        for metrics in history:
            self.log(metrics)

    def log(self, metrics: Metrics) -> None:
        """Tells every tracker of one evaluation; returns at once."""
        for follower in self._followers:
            follower.tell(metrics)

    def end(self, state: str) -> None:
        """Ends the run in every tracker, and waits until they are done, for `PATIENCE` at most."""
        for follower in self._followers:
            follower.tell(state)
        for follower in self._followers:
            follower.wait()
        self._followers = []


class _Follower:
    """One tracker at work."""

    def __init__(self, tracker: Tracker, subject: Subject) -> None:
        self._tracker = tracker
        self._subject = subject
        self._inbox: queue.SimpleQueue[Metrics | str] = queue.SimpleQueue()
        self._is_off = False
        self._thread = threading.Thread(
            target=self._follow, name=f"tracker {tracker.name}", daemon=True
        )
        self._thread.start()

    def tell(self, message: Metrics | str) -> None:
        if not self._is_off:
            self._inbox.put(message)

    def wait(self) -> None:
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            self._switch_off(f"it has not answered for {PATIENCE:.0f} s")

    def _follow(self) -> None:
        try:
            folder = self._subject.files / self._tracker.name
            folder.mkdir(parents=True, exist_ok=True)
            newest = self._tracker.begin(self._subject, folder)
            while not isinstance(message := self._inbox.get(), str):
                if message["update"] > newest:
                    self._tracker.log(message)
                    newest = message["update"]
            self._tracker.end(message)
        except (Exception, SystemExit) as error:
            self._switch_off(f"{type(error).__name__}: {error}".strip().splitlines()[0])

    def _switch_off(self, reason: str) -> None:
        if not self._is_off:
            self._is_off = True
            logger.warning(
                "tracker %s is off for %s (%s); the run itself is not affected",
                self._tracker.name,
                self._subject.title,
                reason,
            )
