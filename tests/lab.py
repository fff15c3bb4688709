"""JupyterLab in a real browser: a server with folders of its own, what one does in a notebook.

Enter a ``Lab(folder)``, then its ``opened(browser, "notebooks/03_stream_audio.ipynb")``.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import nbformat

from tests.talking import end

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

ROOT = Path(__file__).parent.parent
TOKEN = "lab-token"
START_SECONDS = 60
RUN_SECONDS = 120
SECONDS = 1000  # Playwright counts in milliseconds
STILL = {"reduced_motion": "reduce"}  # what moves is drawn 60 times a second, for nobody here

# News would cover a corner of the page.
QUIET = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}
QUIET["@jupyterlab/apputils-extension:notification"] |= {"checkForUpdates": False}

READY = """async () => {
  const widget = window.jupyterapp.shell.currentWidget;
  await widget.context.ready;
  await widget.sessionContext.ready;
  const { kernel } = widget.sessionContext.session;
  await kernel.info;
  for (let wait = 0; kernel.status !== 'idle' && wait < 300; wait += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}"""
CURRENT = "window.jupyterapp.shell.currentWidget"
# Whatever is evaluated here waits for the kernel, and Playwright sets such a wait no bound.
BOUNDED = """async ([command, options, milliseconds]) => {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      const dialog = document.querySelector('.jp-Dialog')?.innerText ?? 'no dialog is open';
      reject(new Error(`${command} takes too long; ${dialog}`));
    }, milliseconds);
  });
  const done = window.jupyterapp.commands.execute(command, options);
  await Promise.race([done, late]).finally(() => clearTimeout(timer));
}"""


class Lab:
    """A JupyterLab server below ``folder``, with copies of notebooks/ and public/ to work on.

    ``url`` is its address with the base URL, ``token`` what lets in.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        base_url: str = "/",
        environment: dict | None = None,
    ) -> None:
        self.root = folder / "work"
        self.base_url = base_url
        self.token = TOKEN
        self._home = folder / "home"
        self._arguments = arguments
        self._environment = environment or {}
        self._process: subprocess.Popen | None = None
        self.port = 0
        for name in ("notebooks", "public"):
            shutil.copytree(ROOT / name, self.root / name)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.base_url}"

    @property
    def log(self) -> str:
        return (self._home / "lab.log").read_text(errors="replace")

    def write(self, name: str, cells: Sequence[str]) -> str:
        """A notebook of these code cells; gives its name."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        path = self.root / f"{name}.ipynb"
        nbformat.write(notebook, path)
        return path.name

    def start(self) -> Self:
        places = {
            "HOME": self._home,
            "JUPYTER_CONFIG_DIR": self._home / "config",
            "JUPYTER_DATA_DIR": self._home / "data",
            "JUPYTER_RUNTIME_DIR": self._home / "runtime",
            "IPYTHONDIR": self._home / "ipython",
        }
        settings = self._home / "config" / "labconfig" / "default_setting_overrides.json"
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps(QUIET))
        environment = {**os.environ, "MPLBACKEND": ""}
        environment |= {name: str(path) for name, path in places.items()} | self._environment
        if not environment["MPLBACKEND"]:
            del environment["MPLBACKEND"]  # the kernel's own draws into the notebook
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
        command += ["--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"]
        command += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={self.root}"]
        command += [f"--ServerApp.base_url={self.base_url}"]
        command += ["--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly"]
        command += self._arguments
        with (self._home / "lab.log").open("wb") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            self.port = self._await_port(places["JUPYTER_RUNTIME_DIR"])
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the server and with it every kernel."""
        if self._process is None:
            return
        end(self._process, 20)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @contextmanager
    def opened(
        self,
        browser: "Browser",
        name: str,
        *,
        host: str = "127.0.0.1",
        scripts: Sequence[str] = (),
        **options: object,
    ) -> Iterator["Notebook"]:
        """A notebook in a browser context of its own, its kernel ready; ``host`` as in the address.

        ``options`` are those of Playwright's new_context.
        """
        size = {"width": 1200, "height": 1000}
        context = browser.new_context(**{"viewport": size, **STILL, **options})
        for script in scripts:
            context.add_init_script(script)
        notebook = Notebook(context.new_page())
        try:
            url = self.url.replace("//127.0.0.1:", f"//{host}:")
            notebook.open(f"{url}lab/tree/{name}?reset&token={self.token}")
            yield notebook
        finally:
            context.close()

    def _await_port(self, runtime: Path) -> int:
        """The port that the server got, once it answers."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            assert self._process is not None
            assert self._process.poll() is None, self.log
            try:
                (found,) = runtime.glob("jpserver-*.json")
                port = int(json.loads(found.read_text())["port"])
                address = f"http://127.0.0.1:{port}{self.base_url}api?token={TOKEN}"
                urllib.request.urlopen(address, timeout=5).close()
                return port
            except (OSError, ValueError):
                time.sleep(0.2)
        raise AssertionError(f"JupyterLab did not start within {START_SECONDS} s: {self.log}")


class Notebook:
    """The notebook that a page shows; ``page`` is Playwright's.

    ``console`` holds the errors of the page, ``hosts`` whom it spoke to.
    """

    def __init__(self, page: "Page") -> None:
        self.page = page
        self.console: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.console.append(str(error)))
        for event in ("request", "websocket"):
            page.on(event, lambda asked: self.hosts.add(urlsplit(asked.url).netloc))

    def _note(self, said: "ConsoleMessage") -> None:
        # The server answers 500 when it is asked for its kernels while one starts: Jupyter's own.
        if said.type == "error" and "/api/kernels" not in said.location["url"]:
            self.console.append(f"{said.text} {said.location['url'].partition('?')[0]}")

    def open(self, address: str) -> None:
        """Load a notebook and wait until its kernel can be used."""
        self.page.goto(address)
        # "Run all" before the kernel is there would open a dialog and wait for ever.
        self.page.wait_for_function(
            f"window.jupyterapp?.shell.currentWidget?.context && {CURRENT}.sessionContext",
            timeout=START_SECONDS * SECONDS,
        )
        self.page.evaluate(READY)

    def run_all(self, seconds: float = RUN_SECONDS) -> None:
        """Run every cell; returns when the last one is over."""
        self.command("notebook:run-all-cells", seconds=seconds)

    def run(self, index: int, seconds: float = RUN_SECONDS) -> str:
        """Run one cell; gives the text that it shows."""
        self.page.evaluate(f"index => {{ {CURRENT}.content.activeCellIndex = index; }}", index)
        self.command("notebook:run-cell", seconds=seconds)
        return self.text(index)

    def add(self, source: str, seconds: float = RUN_SECONDS) -> str:
        """Write another cell at the end and run it; gives the text that it shows."""
        insert = (
            f"source => {CURRENT}.content.model.sharedModel.insertCell("
            f"{CURRENT}.content.widgets.length, {{cell_type: 'code', source}})"
        )
        self.page.evaluate(insert, source)
        return self.run(self.last, seconds)

    @property
    def last(self) -> int:
        """The index of the last cell."""
        return self.page.evaluate(f"{CURRENT}.content.widgets.length") - 1

    def restart(self) -> None:
        """Restart the kernel with the menu's command, and say yes to its question."""
        self.page.evaluate(
            "() => void window.jupyterapp.commands.execute('kernelmenu:restart').catch(() => {})"
        )
        self.page.get_by_role("button", name="Confirm Kernel Restart").click()
        self.page.evaluate(READY)

    def command(self, name: str, *, seconds: float = RUN_SECONDS, **options: object) -> None:
        """A command of JupyterLab, done within so many seconds."""
        self.page.evaluate(BOUNDED, [name, options, seconds * SECONDS])

    def save(self) -> None:
        """Write the notebook to its file."""
        self.command("docmanager:save")

    def sources(self) -> list[str | None]:
        """The code of each cell, None for a cell of prose."""
        return self.page.evaluate(
            f"{CURRENT}.content.widgets.map(cell => "
            "cell.model.type === 'code' ? cell.model.sharedModel.source : null)"
        )

    def outputs(self) -> list[list[dict]]:
        """What each cell shows, as a notebook's file has it; an empty list for a cell of prose."""
        return self.page.evaluate(
            f"{CURRENT}.content.widgets.map(cell => cell.model.outputs?.toJSON() ?? [])"
        )

    def text(self, index: int) -> str:
        """The plain text that a cell shows."""
        parts = []
        for output in self.outputs()[index]:
            shown = output.get("text") or output.get("data", {}).get("text/plain", "")
            parts.append("".join(shown) or "\n".join(output.get("traceback", ())))
        return "".join(parts)

    def errors(self) -> list[str]:
        """The errors that cells ended with."""
        return [
            f"cell {index}: {output['ename']}: {output['evalue']}"
            for index, shown in enumerate(self.outputs())
            for output in shown
            if output["output_type"] == "error"
        ]
