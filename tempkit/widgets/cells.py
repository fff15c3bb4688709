"""Cells: what every view is made of, in a cell that may run again."""

import sys
import threading
from collections.abc import Callable

from ipywidgets import HTML, Button, HBox, Widget

_lock = threading.Lock()
_made: dict[str, tuple[str, list[Callable[[], None]]]] = {}


def end_with_cell(end: Callable[[], None]) -> None:
    """Have a method called when the cell that runs now is run another time.

    Views of one run live side by side. Outside a notebook, and where the editor does not say which
    cell it runs, nothing is called.
    """
    kernel = getattr(_shell(), "kernel", None)
    parent = kernel.get_parent("shell") or {} if kernel else {}
    cell, run = parent.get("metadata", {}).get("cellId"), parent.get("header", {}).get("msg_id")
    if not cell:
        return
    with _lock:
        last, former = _made.get(cell, ("", []))
        if last == run:
            former.append(end)
            return
        _made[cell] = (run, [end])
    for end_former in former:
        end_former()


def close(widget: Widget) -> None:
    """Close a widget with all that it is made of: a layout and a style are widgets of their own."""
    parts = [getattr(widget, name, None) for name in ("layout", "style")]
    for part in (*getattr(widget, "children", ()), *parts):
        if isinstance(part, Widget):
            close(part)
    widget.close()


def is_notebook() -> bool:
    """Whether this process is a notebook's kernel."""
    return hasattr(_shell(), "kernel")


def _shell() -> object:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def head_line(state: HTML, stop: Callable[[], None]) -> tuple[HBox, Button]:
    """The first line of a view: a button that stops what is seen there, and its state."""
    button = Button(description="Stop", icon="stop", layout={"width": "7em", "flex": "none"})
    button.on_click(lambda _: stop())
    state.layout.flex = "1 1 auto"
    return HBox([button, state], layout={"align_items": "center"}), button


def text_below() -> HTML:
    """What stands under that line, as wide as there is room."""
    return HTML(layout={"width": "auto", "margin": "0 8px"})


def shown(widget: Widget, text: str, **given: object) -> dict[str, object]:
    """What a notebook gets of a widget: ``text`` too, and no more of one that is closed."""
    bundle = {} if widget.comm is None else widget._repr_mimebundle_(**given) or {}
    return {**bundle, "text/plain": text}


def tick(step: Callable[[], bool], seconds: float) -> Callable[[], None]:
    """Call ``step`` every so often, in a thread, until that gives False; gives what ends it."""
    stopped = threading.Event()

    def run() -> None:
        while not stopped.is_set() and step():
            stopped.wait(seconds)

    threading.Thread(target=run, name="tempkit view", daemon=True).start()
    return stopped.set
