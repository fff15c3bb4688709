"""In a JupyterLab: every notebook run to its end, all at once, and Stop in mid-stream."""

import os
from pathlib import Path

import pytest

from tests.lab import CURRENT, READY, ROOT, SECONDS, Lab

try:
    from playwright.sync_api import expect
except ImportError:
    if os.environ.get("TEMPKIT_REQUIRE_ALL"):
        raise
    pytest.skip("playwright is not installed", allow_module_level=True)

NAMES = [path.name for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
RUN_SECONDS = 120
# A JupyterLab that has just come up may take the command and run nothing: until a cell has run.
START = """async name => {
  window.runs ??= {};
  const { content, sessionContext } = window.jupyterapp.shell.currentWidget;
  const first = content.widgets.find((cell) => cell.model.type === 'code');
  for (let tries = 0; tries < 3 && first.model.executionCount === null; tries += 1) {
    if (tries > 0) {
      document.querySelector('.jp-Dialog button.jp-mod-accept')?.click();
      await sessionContext.changeKernel({ name: 'python3' });
      window.changed = true;
    }
    window.runs[name] = window.jupyterapp.commands.execute('notebook:run-all-cells');
    for (let wait = 0; wait < 200 && first.model.executionCount === null; wait += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}"""
FINISH = """async ([name, milliseconds]) => {
  // Another program may hold the server's port, and that is said there.
  const isNews = ({ text }) => [text].flat().join('').includes('is taken by another program');
  const isRed = (output) =>
    output.output_type === 'error' || (output.name === 'stderr' && !isNews(output));
  const panel = [...window.jupyterapp.shell.widgets('main')].find(
    (each) => each.context?.path === `notebooks/${name}`,
  );
  window.jupyterapp.shell.activateById(panel.id);  // cells behind another tab may wait to be drawn
  const late = new Promise((done) => setTimeout(done, milliseconds, 'it takes too long'));
  const outcome = await Promise.race([window.runs[name].then(() => 'run'), late]);
  const cells = panel.content.widgets.filter((cell) => cell.model.type === 'code');
  return [
    outcome,
    cells.map((cell) => cell.model.executionCount),
    cells.flatMap((cell) => cell.model.outputs.toJSON().filter(isRed)),
  ];
}"""
LIVE = [
    "from tempkit import Sandbox, connect\n"
    "from tempkit.sandbox import Scripted\n"
    "from tempkit.widgets import TranscriptView\n"
    "from tests.doubles import chunked, spoken\n"
    "sandbox = Sandbox(Scripted(['Hello there.', 'How are you?'])).start()",
    "view = TranscriptView().watch(connect(sandbox.settings).stream(chunked(spoken(40))))\nview",
]
CLOSED = "print([int(entry.detail['code']) for entry in sandbox.journal if entry.kind == 'closed'])"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("lab")
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    with Lab(folder, environment={"PYTHONPATH": path}) as lab:
        lab.write("live", LIVE)
        # Its own port: the same notebook may be running under nbmake, in another test process.
        fifth = lab.root / "notebooks" / "05_when_it_breaks.ipynb"
        fifth.write_text(fifth.read_text().replace("port=8766", "port=8767"))
        yield lab


@pytest.fixture(scope="module")
def running(lab: Lab, launch):
    """A Lab with every notebook running in a tab of its own."""
    first, *others = NAMES
    with launch() as browser, lab.opened(browser, f"notebooks/{first}") as tabs:
        tabs.page.evaluate(START, first)
        for name in others:
            tabs.command("docmanager:open", path=f"notebooks/{name}")
            tabs.page.evaluate(READY)
            tabs.page.evaluate(START, name)
        yield tabs


@pytest.mark.parametrize("name", NAMES, ids=lambda name: Path(name).stem)
def test_a_notebook_runs_to_its_end_without_an_error(running, name: str):
    outcome, counts, errors = running.page.evaluate(FINISH, [name, RUN_SECONDS * SECONDS])
    assert errors == []
    assert outcome == "run", counts
    assert all(counts)


def test_the_page_in_the_frame_is_alive_and_has_the_words_of_the_sample(running):
    running.command("docmanager:open", path="notebooks/02_token_server.ipynb")
    page = running.page.frame_locator("iframe[src*='#sample']")
    expect(page.locator("#state")).to_contain_text("Finished", timeout=RUN_SECONDS * SECONDS)
    expect(page.locator("#finals")).to_contain_text("rest of your day")


def test_without_a_microphone_the_words_of_a_clip_are_in_the_widget(running):
    running.command("docmanager:open", path="notebooks/04_live_microphone.ipynb")
    finals = running.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .tempkit-finals")
    expect(finals.first).to_contain_text("Laura Bennett", timeout=RUN_SECONDS * SECONDS)


@pytest.fixture(scope="module")
def live(running):
    """The one to press Stop in; a notebook that still runs could take the place of the current."""
    running.command("docmanager:open", path="live.ipynb")
    running.page.evaluate(READY)
    return running


def test_stop_in_the_middle_of_a_stream_keeps_the_words_so_far(live):
    live.run(0)
    live.run(1)
    shown = live.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-OutputArea-output")
    expect(shown.get_by_text("Hello there.", exact=True)).to_be_visible(timeout=20 * SECONDS)
    expect(shown.get_by_text("Listening")).to_be_visible()
    shown.get_by_role("button", name="Stop").click()
    expect(shown.get_by_text("Stopped")).to_be_visible(timeout=10 * SECONDS)
    expect(shown.get_by_role("button", name="Stop")).to_be_disabled()
    assert live.add("print(view.transcript.text)").startswith("Hello there.")
    assert live.add(CLOSED) == "[1000]\n"


def test_a_stream_ends_well_when_its_cell_runs_again(live):
    live.run(1)
    live.run(1)  # the stream before goes on until its last words are there
    ended = "first, second = [e for e in sandbox.journal if e.kind == 'opened'][-2:]\n"
    wait = "import time\nuntil = time.monotonic() + 10\n"
    wait += "while sum(e.kind == 'closed' for e in sandbox.journal) < 2:\n"
    wait += "    assert time.monotonic() < until\n    time.sleep(0.05)\n"
    assert live.add(ended + wait + CLOSED) == "[1000, 1000]\n"
    assert live.add("view.stop(); print(view.wait(10).partial == '')") == "True\n"


def test_the_page_had_nothing_to_complain_of(running):
    # A lab complains itself of a kernel that it had to leave.
    assert running.console == [] or running.page.evaluate("window.changed === true")
    assert running.page.evaluate(f"{CURRENT}.content.widgets.length") > len(LIVE)
