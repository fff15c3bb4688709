from pathlib import Path

import pytest

from tempkit import ConfigurationError, Sandbox, Settings, default_settings
from tests.conftest import KEY


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory two levels under one that may hold a .env; no variables are set."""
    inner = tmp_path / "project" / "notebooks"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    monkeypatch.delenv("ASSEMBLYAI_API_KEY", raising=False)
    monkeypatch.delenv("ASSEMBLYAI_BASE_URL", raising=False)
    return tmp_path / "project"


def test_the_dotenv_file_is_found_upward(folder: Path):
    (folder / ".env").write_text(f"ASSEMBLYAI_API_KEY={KEY}\n")
    assert Settings.from_env().api_key == KEY


def test_the_environment_goes_before_the_file_and_arguments_before_both(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    (folder / ".env").write_text("ASSEMBLYAI_API_KEY=from-file\nASSEMBLYAI_BASE_URL=http://a\n")
    assert Settings.from_env() == Settings("from-file", "http://a")
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "from-environment")
    assert Settings.from_env() == Settings("from-environment", "http://a")
    assert Settings.from_env(api_key="given") == Settings("given", "http://a")


def test_an_edited_dotenv_file_takes_effect_at_the_next_call(folder: Path):
    for key in ("first", "second"):
        (folder / ".env").write_text(f"ASSEMBLYAI_API_KEY={key}\n")
        assert Settings.from_env().api_key == key


def test_an_unreadable_dotenv_file_is_a_configuration_error(folder: Path):
    (folder / ".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match=r"\.env cannot be read"):
        Settings.from_env()


def test_the_copied_example_counts_as_no_key(folder: Path):
    example = Path(__file__).parent.parent / ".env.example"
    (folder / ".env").write_text(example.read_text())
    assert Settings.from_env() == Settings()


def test_the_repr_says_no_more_than_that_there_is_a_key():
    assert KEY not in repr(Settings(api_key=KEY))
    assert KEY[:4] not in repr(Settings(api_key=KEY))
    assert "configured" in repr(Settings(api_key=KEY))


@pytest.mark.parametrize(
    ("base_url", "websocket_url"),
    [
        ("https://streaming.assemblyai.com", "wss://streaming.assemblyai.com/v3/ws"),
        ("https://streaming.eu.assemblyai.com/", "wss://streaming.eu.assemblyai.com/v3/ws"),
        ("http://127.0.0.1:8765", "ws://127.0.0.1:8765/v3/ws"),
        ("HTTP://127.0.0.1:8765", "ws://127.0.0.1:8765/v3/ws"),
        ("http://[::1]:8765", "ws://[::1]:8765/v3/ws"),
        ("https://proxy.example/assemblyai", "wss://proxy.example/assemblyai/v3/ws"),
    ],
)
def test_the_socket_address_follows_the_base_url(base_url: str, websocket_url: str):
    assert Settings(base_url=base_url).websocket_url == websocket_url


@pytest.mark.parametrize(
    "url",
    ["", "streaming.assemblyai.com", "wss://x", "http://", "http://u:secret@x", "http://x?a=b",
     "http://256.1.1.1", "https://a..b", "http://./", "https://\u2603.example", "http://xn--a",
     "http://-x", "http://x y", "http://x:0", "http://x:99999", "http://[x"],
)  # fmt: skip
def test_an_address_that_cannot_be_one_is_refused_without_repeating_it(url: str):
    with pytest.raises(ConfigurationError, match=r"http\(s\)://host") as caught:
        Settings(base_url=url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "is_local"),
    [("http://127.0.0.1:1", True), ("http://localhost:1", True), ("http://[::1]:1", True),
     ("https://streaming.assemblyai.com", False), ("http://10.0.0.1", False)],
)  # fmt: skip
def test_a_local_service_is_told_from_a_distant_one(url: str, is_local: bool):
    assert Settings(base_url=url).is_local is is_local


def test_a_configured_key_means_the_real_service(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", KEY)
    assert default_settings() == Settings(api_key=KEY)


def test_a_placeholder_is_pointed_out_rather_than_replaced_by_a_sandbox(folder: Path):
    (folder / ".env").write_text("ASSEMBLYAI_API_KEY=your_api_key_here\n")
    with pytest.raises(ConfigurationError, match="placeholder"):
        default_settings()


def test_an_address_without_a_key_is_pointed_out(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ASSEMBLYAI_BASE_URL", "https://streaming.eu.assemblyai.com")
    with pytest.raises(ConfigurationError, match="ASSEMBLYAI_API_KEY is not"):
        default_settings()


def test_without_a_key_one_sandbox_serves_all_calls_and_is_said_once(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempkit.defaults._sandbox", None)
    first, second = default_settings(), default_settings()
    assert first == second
    assert first.is_local
    assert capsys.readouterr().out.splitlines() == [
        f"No ASSEMBLYAI_API_KEY found: using the sandbox at {first.base_url}"
    ]


def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    monkeypatch.delitem(__import__("sys").modules, "tempkit.sandbox.moonshine", raising=False)
    with pytest.raises(ConfigurationError, match=r"pip install 'tempkit\[sandbox\]'"):
        Sandbox().start()
