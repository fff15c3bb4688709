"""Views for notebooks. They need the ``notebooks`` extra, and say so when it is missing."""

from tempkit.errors import ConfigurationError

try:
    from tempkit.widgets.microphone import Microphone
    from tempkit.widgets.token_view import TokenView
    from tempkit.widgets.transcript_view import TranscriptView
except ModuleNotFoundError as error:
    raise ConfigurationError(
        f"the notebook widgets need {error.name}; install them: pip install 'tempkit[notebooks]'"
    ) from None

__all__ = ["Microphone", "TokenView", "TranscriptView"]
