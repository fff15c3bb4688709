"""The pytest plugin: a fixture with a running sandbox, and a marker for what it hears.

pytest loads this module wherever tempkit is installed; the sandbox loads only with its fixture.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tempkit.env_file import KEY_VARIABLE, URL_VARIABLE

if TYPE_CHECKING:
    from tempkit.sandbox import Sandbox

MARKERS = (
    "tempkit_hears(line, ...): what the tempkit_sandbox hears, one line per turn",
    "tempkit_replays(path): a recording for the tempkit_sandbox to replay",
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    for text in MARKERS:
        config.addinivalue_line("markers", text)


@pytest.fixture
def tempkit_sandbox(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> "Iterator[Sandbox]":
    """A sandbox of AssemblyAI's streaming service on a free port; the environment points at it.

    It recognises real English speech, or hears the next line of the marker ``tempkit_hears`` in
    each loud stretch of audio, or replays the recording that ``tempkit_replays`` names, relative
    to pytest's root folder. Audio is processed as fast as it arrives.
    """
    from tempkit.sandbox import Sandbox, Scripted

    heard = request.node.get_closest_marker("tempkit_hears")
    recognizer = Scripted(heard.args) if heard else None
    played = request.node.get_closest_marker("tempkit_replays")
    replay = request.config.rootpath / played.args[0] if played else None
    with Sandbox(recognizer, realtime=False, replay=replay) as sandbox:
        monkeypatch.setenv(KEY_VARIABLE, sandbox.settings.api_key or "")
        monkeypatch.setenv(URL_VARIABLE, sandbox.url)
        yield sandbox
