"""The view of a server or sandbox in a notebook: link, state, Stop, and what was asked lately."""

import threading

from ipywidgets import HTML, VBox

import tempkit.pictures as pictures
from tempkit.errors import ConfigurationError
from tempkit.serving import Service
from tempkit.widgets import cells

LOOK_SECONDS = 0.5

_views: dict[Service, "ServiceView"] = {}  # one for each that runs, however often it is displayed


class ServiceView:
    """A running service on a page: it looks at the service until that stops."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._head, self._rows = HTML(), cells.text_below()
        line, self._button = cells.head_line(self._head, self._stop)
        self.widget = VBox([line, self._rows])
        _views[service] = self
        self._look()
        self._end_looks = cells.tick(self._look, LOOK_SECONDS)
        cells.end_with_cell(self._end)

    def close(self) -> None:
        """Take the view off the page; the service goes on."""
        self._end_looks()
        cells.close(self.widget)
        if _views.get(self._service) is self:
            del _views[self._service]

    def _end(self) -> None:
        """The cell has run again: a service that goes on may be seen elsewhere, too."""
        if self._service.is_running:
            cells.end_with_cell(self._end)
        else:
            self.close()

    def _stop(self) -> None:
        """Stop the service, in a thread: with open sessions that takes some seconds."""
        self._button.disabled = True
        self._button.description = "Stopping"
        threading.Thread(target=self._service.stop, name="tempkit stop", daemon=True).start()

    def _look(self) -> bool:
        """Show the state, which is sent to the page when it is another; whether it can change."""
        service = self._service
        report, is_on = service.report(), service.is_running
        try:
            address = pictures.link(service.link)
        except ConfigurationError:  # it stopped meanwhile
            address, is_on = "", False
        name = service.kind.capitalize()
        colour = pictures.GOOD if is_on else pictures.MUTED
        self._head.value = pictures.heading(name, colour, address, pictures.muted(report.line))
        self._rows.value = pictures.table(report.columns, report.rows) if report.rows else ""
        if not is_on:
            self._button.disabled = True
            self._button.description = "Stopped"
            if _views.get(service) is self:
                del _views[service]
        return is_on


def bundle(service: Service) -> dict[str, object]:
    """The view of a service for a notebook to show; nothing for a terminal."""
    if not cells.is_notebook():
        return {}
    view = _views.get(service)
    if view is None or view.widget.comm is None:
        view = ServiceView(service)
    return cells.shown(view.widget, repr(service))
