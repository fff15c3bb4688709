"""Callbacks: functions of the user's that get each turn once, in its last form."""

import logging
from collections.abc import Callable, Iterable

from tempkit.errors import BadType
from tempkit.protocol.messages import Turn

OnTurn = Callable[[Turn], object]

log = logging.getLogger(__name__)


class Callbacks:
    """What ``on_turn`` was given."""

    def __init__(self) -> None:
        self._all: list[OnTurn] = []

    def add(self, callback: OnTurn) -> Callable[[], None]:
        """Have it called from now on; gives what ends that."""
        if not callable(callback):
            raise BadType("on_turn() takes a function of a turn")
        self._all.append(callback)

        def end() -> None:
            if callback in self._all:
                self._all.remove(callback)

        return end

    def tell(self, turns: Iterable[Turn]) -> None:
        """Call each with each turn; what they raise is logged."""
        for turn in turns:
            for callback in list(self._all):
                try:
                    callback(turn)
                except Exception:
                    log.exception("a callback of on_turn failed")
