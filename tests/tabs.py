"""Chromium as people have it: a tab that another one hides is hidden, and its timers are throttled.

Playwright's pages are never hidden, whatever is in front of them.
"""

import itertools
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

FLAGS = (
    *("--headless", "--no-sandbox", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # Otherwise it is five minutes before a hidden tab's timers ring once a minute.
    "--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/10",
)
START_SECONDS = 20.0
ANSWER_SECONDS = 30.0


class Chromium:
    """A browser with one window; open() and what it gives belong to one thread."""

    def __init__(self, program: str, *flags: str) -> None:
        self._program = program
        self._flags = flags
        self._numbers = itertools.count(1)
        self._open = ExitStack()

    def __enter__(self) -> "Chromium":
        with ExitStack() as opening:
            folder = tempfile.TemporaryDirectory(prefix="tempkit-", ignore_cleanup_errors=True)
            profile = Path(opening.enter_context(folder))
            opening.enter_context(self._running(profile))
            line = connect(_address(profile), proxy=None, max_size=None, ping_interval=None)
            self._socket = opening.enter_context(line)
            (first,) = self._pages()
            self._other = first  # what hides the tabs
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def open(self, url: str, script: str = "") -> "Tab":
        """A page in a tab of its own, in front; ``script`` runs before the page's own."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        tab = Tab(self, target)
        tab.send("Page.enable")
        tab.send("Page.addScriptToEvaluateOnNewDocument", source=script)
        tab.send("Page.navigate", url=url)
        tab.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")
        return tab

    def hide_all(self) -> None:
        """Put another tab in front."""
        self.send("Target.activateTarget", targetId=self._other)

    def send(self, method: str, session: str | None = None, **parameters: object) -> dict[str, Any]:
        """The answer to one command of the protocol."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": parameters}
        self._socket.send(json.dumps(command | ({"sessionId": session} if session else {})))
        while True:
            answer = json.loads(self._socket.recv(ANSWER_SECONDS))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def _pages(self) -> list[str]:
        targets = self.send("Target.getTargets")["targetInfos"]
        return [each["targetId"] for each in targets if each["type"] == "page"]

    @contextmanager
    def _running(self, profile: Path) -> Iterator[None]:
        command = [self._program, *FLAGS, *self._flags, f"--user-data-dir={profile}"]
        command += ["--remote-debugging-port=0", "about:blank"]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                yield
            finally:
                process.terminate()


class Tab:
    """One page."""

    def __init__(self, browser: Chromium, target: str) -> None:
        self._browser = browser
        self._target = target
        attached = browser.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]

    def send(self, method: str, **parameters: object) -> dict[str, Any]:
        """The answer to one command of the protocol."""
        return self._browser.send(method, self._session, **parameters)

    def show(self) -> None:
        """Put it in front."""
        self._browser.send("Target.activateTarget", targetId=self._target)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, or of the promise that it gives."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, condition: str, seconds: float = 15.0) -> None:
        """Wait until a condition holds."""
        until = time.monotonic() + seconds
        while not self.evaluate(condition):
            assert time.monotonic() < until, f"not within {seconds} s: {condition}"
            time.sleep(0.1)

    def stay_away(self, seconds: float) -> None:
        """Ask nothing of the page for so long: being asked keeps a page awake."""
        time.sleep(seconds)

    def open_file(self, path: Path) -> None:
        """Give the page's file input a file."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
        self.send("DOM.setFileInputFiles", files=[str(path)], nodeId=node)


def _address(profile: Path) -> str:
    """Where the browser takes commands, once it is there."""
    file = profile / "DevToolsActivePort"
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if file.exists() and len(parts := file.read_text().split()) == 2:
            return f"ws://127.0.0.1:{parts[0]}{parts[1]}"
        time.sleep(0.05)
    raise AssertionError(f"Chromium did not start within {START_SECONDS} s")
