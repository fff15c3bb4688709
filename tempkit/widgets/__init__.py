"""Views for notebooks. They need the ``notebooks`` extra, and say so if it is missing."""

from tempkit.errors import require

for _module in ("ipywidgets", "anywidget"):
    require(_module, "notebooks", "a view in a notebook")

from tempkit.widgets.microphone import Microphone  # noqa: E402
from tempkit.widgets.token_view import TokenView  # noqa: E402
from tempkit.widgets.transcript_view import TranscriptView  # noqa: E402

__all__ = ["Microphone", "TokenView", "TranscriptView"]
