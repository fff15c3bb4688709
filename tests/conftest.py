import importlib.util
import logging
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import nbmake.pytest_items
import pytest
from nbmake.nb_result import NotebookResult
from nbmake.nb_run import NotebookRun

from tempkit import Sandbox, Settings
from tempkit.sandbox import Scripted
from tempkit.server.addresses import REMOTE_VARIABLES
from tests.doubles import AnsweringService
from tests.secret_shapes import check_outputs
from tests.talking import free_port
from tests.words import SAMPLE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FAKE_DEVICE = "--use-fake-device-for-media-stream"
ALLOW = "--use-fake-ui-for-media-stream"
# Without a window's pop-ups, which nobody sees and which cost each page half a second of CPU. Only
# the last such flag counts: what Playwright wants to be without is said again.
WITHOUT = (
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,AimEnabled,HttpsUpgrades,"
    "HttpsFirstBalancedModeAutoEnable,PaintHolding,ThirdPartyStoragePartitioning,MediaRouter,"
    "AvoidUnnecessaryBeforeUnloadCheckSync,DestroyProfileOnBrowserClose,LensOverlay,"
    "AvoidCorsURLLoaderRestartOnRedirect,OptimizationHints,NetworkTimeServiceQuerying,"
    "PreconnectToSearch"
)
KEY = "0123456789abcdef0123456789abcdef"  # the shape of a real key; the secrets test looks for it
SLOW = ("test_browser", "test_lab", "test_cuts", "test_judgement", "test_heartbeats", "test_wsgi")
SLOW += ("test_recognition", "test_proxy", "test_parity", "test_readme", "test_main", "test_views")
SLOW += ("test_client", "test_microphone", "test_sandbox_wire", "test_handler", "test_halves")
SLOW += ("test_sound_files",)
BROWSER = ("test_browser", "test_proxy")
LAB = ("test_lab", "test_kernel", "test_recognition", "test_cuts", "test_parity")
LAB += ("test_official_sdks",)
EXPECT_MILLISECONDS = 15_000  # Playwright waits 5 s, which a busy machine can exceed
SCRIPT = ("Hello there.", "My name is Ada.", "How are you today?")


class Loggers(dict[str, logging.Logger | logging.PlaceHolder]):
    """All loggers: pytest 9.2 goes through them at each test, while threads of ours make more."""

    def values(self) -> list:
        return list(super().values())


def pytest_configure(config: pytest.Config) -> None:
    # A shell's background job ignores Ctrl-C, and so would the programs that tests end with it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    logging.root.manager.loggerDict = Loggers(logging.root.manager.loggerDict)
    # With several workers the files keep the order below.
    config.option.loadscopereorder = False
    # Tests and notebooks run in the sandbox, whatever key the developer has in .env: an empty
    # variable in the environment goes before the file and counts as none.
    os.environ["ASSEMBLYAI_API_KEY"] = ""
    os.environ.pop("ASSEMBLYAI_BASE_URL", None)
    os.environ.setdefault("MPLBACKEND", "agg")
    # Nor where the developer sits: the browser of the tests is on this machine.
    for name in REMOTE_VARIABLES:
        os.environ.pop(name, None)

    nbmake.pytest_items.NotebookRun = CheckedRun


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The slow half: what needs a browser, and what needs a kernel, other servers or real speech.
    for item in items:
        name = item.path.name
        if name.startswith(BROWSER):
            item.add_marker("browser")
        elif name.startswith(LAB) or item.path.suffix == ".ipynb":
            item.add_marker("lab")
    # First: a worker that begins with the slowest file keeps nobody waiting at the end.
    items.sort(
        key=lambda item: not (item.path.name.startswith(SLOW) or item.path.suffix == ".ipynb")
    )


class CheckedRun(NotebookRun):
    """What nbmake runs a notebook with; it also looks through what the notebook shows."""

    def execute(self) -> NotebookResult:
        result = super().execute()
        check_outputs(result.nb)
        return result


def require(program: str) -> str:
    """The program's path; without it the test is skipped, but fails where all has to be there."""
    path = shutil.which(program)
    if path is None:
        reason = f"{program} is not installed"
        if os.environ.get("TEMPKIT_REQUIRE_ALL"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def require_module(name: str) -> None:
    """The same for a module."""
    if importlib.util.find_spec(name) is None:
        reason = f"{name} is not installed"
        if os.environ.get("TEMPKIT_REQUIRE_ALL"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def launch() -> "Iterator[Callable[..., Browser]]":
    """A function that starts a Chromium with more flags; leaving it with ``with`` ends it."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=EXPECT_MILLISECONDS)
    chromium = require("chromium")
    with sync_playwright() as playwright:
        start = partial(playwright.chromium.launch, executable_path=chromium)
        yield lambda *flags: start(args=[*flags, "--disable-gpu", "--disable-quic", WITHOUT])


@pytest.fixture(scope="session")
def browser(launch: "Callable[..., Browser]") -> "Iterator[Browser]":
    """A browser whose microphone plays the sample, and which finds every ``.example`` here."""
    with launch(*plays(SAMPLE), "--host-resolver-rules=MAP *.example 127.0.0.1") as browser:
        yield browser


def plays(path: Path) -> list[str]:
    """The flags for a microphone that plays a file once."""
    return [ALLOW, FAKE_DEVICE, f"--use-file-for-fake-audio-capture={path}%noloop"]


@pytest.fixture
def service() -> Iterator[AnsweringService]:
    with AnsweringService() as service:
        yield service


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Scripted(SCRIPT), realtime=False) as sandbox:
        yield sandbox


@pytest.fixture
def settings(sandbox: Sandbox) -> Settings:
    return sandbox.settings


@pytest.fixture(name="free_port")
def a_free_port() -> int:
    return free_port()
