"""The page's logic that needs no browser, in node's own test runner."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_the_logic_of_the_page_passes_its_own_tests():
    node = shutil.which("node")
    if node is None and "TEMPKIT_REQUIRE_ALL" not in os.environ:
        pytest.skip("node is not installed")
    assert node, "node is not installed, and TEMPKIT_REQUIRE_ALL asks for it"
    files = sorted(str(path) for path in (ROOT / "tests" / "js").glob("*.test.mjs"))
    run = subprocess.run([node, "--test", *files], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
