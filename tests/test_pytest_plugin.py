"""The pytest plugin, in a test suite of its own, as a user of the kit has it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
UNUSED = """
import sys

def test_without_the_fixture_no_sandbox_is_imported():
    assert not {"tempkit.sandbox.wire", "numpy", "onnxruntime", "assemblyai"} & set(sys.modules)
"""


@pytest.mark.lab
def test_the_documentations_examples_run_and_only_their_fixture_loads_the_sandbox(tmp_path: Path):
    (tmp_path / "test_first.py").write_text(UNUSED)
    for page in ("README.md", ".github/docs/sandbox.md"):
        blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)
        (example,) = (block for block in blocks if "tempkit_sandbox" in block)
        (tmp_path / f"test_{Path(page).stem.lower()}.py").write_text(example)
    options = "-W error --strict-markers -p no:nbmake"
    (tmp_path / "pytest.ini").write_text(f"[pytest]\naddopts = {options}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", f"{tmp_path}/pytest.ini", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
