"""Views for notebooks. They need ipywidgets: ``pip install 'tempkit[notebooks]'``."""

from tempkit.widgets.token_view import TokenView
from tempkit.widgets.transcript_view import TranscriptView

__all__ = ["TokenView", "TranscriptView"]
