"""The pytest plugin, in a test suite of its own, as a user of the kit has it."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
UNUSED = """
import sys

def test_without_the_fixture_no_sandbox_is_imported():
    assert not {"tempkit.sandbox.wire", "numpy", "onnxruntime", "assemblyai"} & set(sys.modules)
"""


def test_the_readmes_example_runs_and_only_its_fixture_loads_the_sandbox(tmp_path: Path):
    example = re.search(r"```python\n(import pytest.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert example
    (tmp_path / "test_first.py").write_text(UNUSED)
    (tmp_path / "test_theirs.py").write_text(example[1])
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = -W error --strict-markers -p no:nbmake\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", f"{tmp_path}/pytest.ini", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
