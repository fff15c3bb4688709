"""Cells: what a view needs to end when its cell runs again, and a thread that looks at things."""

import sys
import threading
import weakref
from collections.abc import Callable

from ipywidgets import Widget

_lock = threading.Lock()
_made: dict[str, tuple[str, list["weakref.ref[Callable[[], None]]"]]] = {}


def end_with_cell(end: Callable[[], None]) -> None:
    """Have a method called when the cell that runs now is run another time.

    Views of one run live side by side. Outside a notebook, and where the editor does not say which
    cell it runs, nothing is called.
    """
    cell, run = _running()
    if not cell:
        return
    with _lock:
        last, ends = _made.get(cell, (run, []))
        former = [] if last == run else ends
        mine = ends if last == run else []
        mine.append(weakref.WeakMethod(end))
        _made[cell] = (run, mine)
    for reference in former:
        if (method := reference()) is not None:
            method()


def _running() -> tuple[str, str]:
    """The cell and the run of it that this process is at; empty where that is not known."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return "", ""
    parent = kernel.get_parent("shell") or {}
    return str(parent.get("metadata", {}).get("cellId", "")), str(
        parent.get("header", {}).get("msg_id", "")
    )


def is_notebook() -> bool:
    """Whether this process is a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")


def shown(widget: Widget, text: str, **given: object) -> dict[str, object]:
    """What a notebook gets of a widget: ``text`` too, and no more of one that is closed."""
    bundle = {} if widget.comm is None else widget._repr_mimebundle_(**given) or {}
    return {**bundle, "text/plain": text}


class Ticker:
    """Calls ``step`` every so often, in a thread, until that gives False or ``stop`` is called."""

    def __init__(self, step: Callable[[], bool], seconds: float) -> None:
        self._step, self._seconds = step, seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tempkit view", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more calls from now on, apart from one that is going on."""
        self._stopped.set()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, within so many seconds."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopped.is_set() and self._step():
            self._stopped.wait(self._seconds)
