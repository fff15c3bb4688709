"""LiveKit's plugin and Pipecat's service, unmodified and as they come, against a sandbox.

Each is installed into an environment of its own, as their dependencies are many.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tempkit import Sandbox
from tests.words import SAMPLE, SENTENCES, word_error_rate

HERE = Path(__file__).parent / "third_party"
PROGRAMS = {
    "livekit_plugin": "livekit-plugins-assemblyai==1.8.9",
    "pipecat_service": "pipecat-ai[assemblyai]==1.14.0",
}

if not os.environ.get("TEMPKIT_THIRD_PARTY"):
    reason = "installs 900 MB of other people's programs; TEMPKIT_THIRD_PARTY=1 does so"
    pytest.skip(reason, allow_module_level=True)


def environment(folder: Path, requirement: str) -> Path:
    """The Python of a new environment with a package of the index; skips where that is away."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--no-cache-dir", requirement]
    done = subprocess.run(pip, capture_output=True, text=True, timeout=600)
    if done.returncode:
        pytest.skip(f"{requirement} cannot be installed: {done.stderr[-300:]}")
    return python


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_hears_the_sample_and_complains_of_nothing(program: str):
    with TemporaryDirectory() as folder, Sandbox(realtime=False) as sandbox:
        python = environment(Path(folder), PROGRAMS[program])
        url = sandbox.settings.websocket_url.removesuffix("/v3/ws")
        done = subprocess.run(
            [python, HERE / f"{program}.py", url, SAMPLE],
            capture_output=True,
            text=True,
            timeout=120,
            env={"PATH": os.environ["PATH"], "HOME": folder},
        )
        sent = {entry.name for entry in sandbox.journal if entry.kind == "sent"}
        notes = [entry.detail["warning"] for entry in sandbox.journal if entry.kind == "note"]
        closed = sandbox.journal[-1]
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["complaints"] == []
    assert word_error_rate(" ".join(SENTENCES), " ".join(found["heard"])) <= 0.12
    assert sent == {"Begin", "SpeechStarted", "Turn", "Termination"}
    assert closed.detail["code"] == 1000
    # What its agent said went to the session, and was not answered.
    assert notes == ["agent_context has no effect in the sandbox"]
