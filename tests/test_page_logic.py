"""The page's logic that needs no browser, in node's own test runner."""

import subprocess
from pathlib import Path

from tests.conftest import require

FILES = sorted((Path(__file__).parent / "js").glob("*.test.mjs"))


def test_the_logic_of_the_page_passes_its_own_tests():
    command = [require("node"), "--test", *map(str, FILES)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
