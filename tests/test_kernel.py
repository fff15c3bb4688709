"""In a Jupyter kernel: cells that run twice, an interrupt in mid-stream, a restart."""

from collections.abc import Iterator
from queue import Empty

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager

from tests.talking import free_port, is_taken

START = """
from tempkit import TokenServer, connect
from tempkit.sandbox import Sandbox
from tempkit.sandbox import Scripted
from tests.doubles import chunked, spoken
sandbox = Sandbox(Scripted(["Yes."]), port={sandbox_port}).start()
server = TokenServer(sandbox.settings, port={server_port}).start()
"""
STREAM = """
with connect(sandbox.settings) as session:
    for message in session.stream(chunked(spoken(60))):
        print("hearing")
"""


class Kernel:
    """A kernel of its own process and what its cells print."""

    def __init__(self) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel()
        self.client: BlockingKernelClient = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, code: str) -> str:
        """What a cell prints, or the name of what it raised."""
        said: list[str] = []

        def listen(message: dict) -> None:
            said.append(message["content"].get("text", ""))

        reply = self.client.execute_interactive(code, timeout=60, output_hook=listen)
        return reply["content"].get("ename") or "".join(said)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    yield kernel
    kernel.close()


@pytest.fixture
def start_cell() -> tuple[str, list[int]]:
    ports = [free_port() for _ in range(2)]
    return START.format(sandbox_port=ports[0], server_port=ports[1]), ports


def test_the_start_cell_runs_as_often_as_one_likes(kernel: Kernel, start_cell):
    cell, ports = start_cell
    for _ in range(3):
        assert kernel.run(cell) == f"Server is running at http://localhost:{ports[1]}\n"
    count = "import threading; print(sum(t.name == 'tempkit token server'"
    assert kernel.run(f"{count} for t in threading.enumerate()))") == "1\n"


def test_an_interrupt_in_mid_stream_leaves_no_thread_and_the_transcript(kernel: Kernel, start_cell):
    kernel.run(start_cell[0])
    kernel.client.execute(STREAM)
    await_hearing(kernel)
    kernel.manager.interrupt_kernel()
    reply = kernel.client.get_shell_msg(timeout=60)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    drain(kernel)
    ours = "import threading; print([t.name for t in threading.enumerate() if t.name in"
    assert kernel.run(f"{ours} ('tempkit source', 'tempkit session')])") == "[]\n"
    assert kernel.run("print(session.transcript.partial or session.transcript)").strip()


def await_hearing(kernel: Kernel) -> None:
    """Wait until the stream brings words."""
    while True:
        message = kernel.client.get_iopub_msg(timeout=30)
        if "hearing" in message["content"].get("text", ""):
            return


def drain(kernel: Kernel) -> None:
    try:
        while True:
            kernel.client.get_iopub_msg(timeout=0.5)
    except Empty:
        return


def test_a_restart_frees_the_ports_and_the_cells_run_again(kernel: Kernel, start_cell):
    cell, ports = start_cell
    kernel.run(cell)
    assert all(is_taken(port) for port in ports)
    kernel.client.execute(STREAM)  # a session is open while the kernel goes down
    await_hearing(kernel)
    kernel.manager.restart_kernel(now=False)
    kernel.client.wait_for_ready(timeout=60)
    assert not any(is_taken(port) for port in ports)
    assert kernel.run(cell) == f"Server is running at http://localhost:{ports[1]}\n"


def run_as(kernel: Kernel, cell: str, code: str) -> None:
    """Run code as a notebook does, which says in which cell it stands."""
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
    message = kernel.client.session.msg("execute_request", content, metadata={"cellId": cell})
    kernel.client.shell_channel.send(message)
    while True:
        reply = kernel.client.get_shell_msg(timeout=60)
        if reply["parent_header"]["msg_id"] == message["header"]["msg_id"]:
            assert reply["content"]["status"] == "ok", reply["content"]
            return


@pytest.mark.parametrize(
    "source",
    [
        "from tempkit.widgets import Microphone\nMicrophone(sandbox.settings)",
        "from tempkit import generate_temp_token\nfrom tempkit.widgets import TokenView\n"
        "TokenView(generate_temp_token(settings=sandbox.settings))",
        "from tempkit.widgets import TranscriptView\n"
        "TranscriptView().watch(connect(sandbox.settings).stream(chunked(spoken(1))))",
        "server = TokenServer(sandbox.settings, port=server.port).start()\nserver",
        "from tempkit.widgets import TranscriptView\ndisplay(server)\nTranscriptView()",
    ],
    ids=["microphone", "token", "transcript", "service", "two-views"],
)
def test_a_cell_that_runs_again_leaves_as_many_widgets_as_the_first_time(
    kernel: Kernel, start_cell, source: str
):
    kernel.run(start_cell[0])
    count = (
        "from ipywidgets.widgets.widget import _instances; import comm\n"
        "print(len(_instances), len(comm.get_comm_manager().comms))"
    )
    run_as(kernel, "a", source)
    once = kernel.run(count)
    assert once.split()[0] != "0"
    for _ in range(5):
        run_as(kernel, "a", source)
    assert kernel.run(count) == once
    run_as(kernel, "b", source)  # in another cell it stands beside
    assert kernel.run(count) != once or "server" in source
