import sys
from pathlib import Path

import pytest

from tempkit import ConfigurationError, Sandbox, Settings, default_settings
from tempkit.config import key_origin
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


def test_a_variable_of_the_server_in_the_file_is_said_once_to_have_no_effect(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TEMPKIT_RATE_BURST", "3")
    lines = "TEMPKIT_RATE_BURST=3", "TEMPKIT_ACCESS_SECRET=a-secret-of-a-server", "OTHER=1"
    (folder / ".env").write_text("\n".join(lines))
    for _ in range(2):
        Settings.from_env()
    (record,) = caplog.records
    path = folder / ".env"
    said = f"TEMPKIT_ACCESS_SECRET has no effect in {path}; set it in the environment"
    assert record.getMessage() == said


def test_an_unreadable_dotenv_file_is_a_configuration_error(folder: Path):
    (folder / ".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match=r"\.env cannot be read"):
        Settings.from_env()


RIGHT = f"ASSEMBLYAI_API_KEY={KEY}".encode()


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(RIGHT, id="no line end"),
        pytest.param(RIGHT + b"\r\n", id="Windows line end"),
        pytest.param(b"# mine\r" + RIGHT + b"\r", id="old Mac line end"),
        pytest.param(b"\xef\xbb\xbf" + RIGHT + b"\r\n", id="mark of Notepad"),
        pytest.param(RIGHT.decode().encode("utf-16"), id="UTF-16 of PowerShell"),
        pytest.param(b"\xfe\xff" + RIGHT.decode().encode("utf-16-be"), id="UTF-16 big end first"),
        pytest.param(b"export " + RIGHT, id="export"),
        pytest.param(b"  " + RIGHT.replace(b"=", b" = "), id="spaces"),
        pytest.param(RIGHT.replace(b"=", b"='") + b"'", id="single quotes"),
        pytest.param(RIGHT.replace(b"=", b'="') + b'" # mine', id="double quotes and a comment"),
        pytest.param(f"PART={KEY}\nASSEMBLYAI_API_KEY=${{PART}}".encode(), id="another variable"),
        pytest.param(b"ASSEMBLY_AI_API_KEY=other\n" + RIGHT, id="a look-alike beside it"),
        pytest.param(b"A line of prose.\n" + RIGHT, id="a line that is none beside it"),
    ],
)
def test_a_key_is_read_as_editors_and_shells_write_it(
    folder: Path, written: bytes, caplog: pytest.LogCaptureFixture
):
    (folder / ".env").write_bytes(written)
    assert Settings.from_env().api_key == KEY
    assert not caplog.records


MEANT = {
    "another name": "ASSEMBLY_AI_API_KEY={}",
    "a shorter name": "ASSEMBLYAI_KEY={}",
    "lower case": "assemblyai_api_key={}",
    "hyphens": "ASSEMBLYAI-API-KEY={}",
    "words": "AssemblyAI API key: {}",
    "a letter too few": "ASEMBLYAI_API_KEY={}",
    "a letter too many": "ASSEMBLYAI_API_KEYS={}",
    "a wrong letter": "ASSEMBLYAI_APY_KEY={}",
    "swapped letters": "ASSEMLBYAI_API_KEY={}",
    "an invisible letter": "\u200bASSEMBLYAI_API_KEY={}",
    "a colon": "ASSEMBLYAI_API_KEY: {}",
    "a wide sign": "ASSEMBLYAI_API_KEY\uff1d{}",
    "no sign": "ASSEMBLYAI_API_KEY {}",
    "set": "set ASSEMBLYAI_API_KEY={}",
    "set with quotes": 'SET "ASSEMBLYAI_API_KEY={}"',
    "setx": "setx ASSEMBLYAI_API_KEY {}",
    "PowerShell": '$env:ASSEMBLYAI_API_KEY="{}"',
    "PowerShell with spaces": "$Env:ASSEMBLYAI_API_KEY = '{}'",
    "fish": "set -gx ASSEMBLYAI_API_KEY {}",
    "Dockerfile": "ENV ASSEMBLYAI_API_KEY={}",
    "compose": "- ASSEMBLYAI_API_KEY={}",
    "JSON": '"ASSEMBLYAI_API_KEY": "{}",',
    "Python": 'os.environ["ASSEMBLYAI_API_KEY"] = "{}"',
    "an open quote": 'ASSEMBLYAI_API_KEY="{}',
    "a variable that is not set": "ASSEMBLYAI_API_KEY=${{NO_SUCH_VARIABLE}}",
    "two kinds of quotes": "ASSEMBLYAI_API_KEY='{}\"",
}


@pytest.mark.parametrize("line", MEANT.values(), ids=MEANT)
def test_a_line_that_was_meant_to_be_the_key_is_named_and_not_repeated(
    folder: Path, line: str, caplog: pytest.LogCaptureFixture
):
    (folder / ".env").write_bytes(f"# mine\r\nOTHER=1\r\n{line.format(KEY)}\r\n".encode())
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env()
    assert str(caught.value) == (
        f"line 3 of {folder / '.env'} looks like ASSEMBLYAI_API_KEY but cannot be read; "
        "write ASSEMBLYAI_API_KEY=... and close every quote"
    )
    assert not caplog.records


@pytest.mark.parametrize(
    ("written", "said"),
    [
        pytest.param(KEY, "line 1 of", id="nothing but a key"),
        pytest.param(f'OTHER="1\nASSEMBLYAI_API_KEY="{KEY}"\n', "line 2 of", id="a quote above"),
        pytest.param(f'A="1\nASSEMBLYAI_API_KEY={KEY}\nB="\n', "line 2 of", id="inside of quotes"),
        pytest.param(
            f"ASSEMBLYAI_API_KEY=\nASSEMBLY_AI_API_KEY={KEY}\n", "line 2 of", id="an empty one too"
        ),
        pytest.param(
            f"{RIGHT.decode()}\nassemblyai_base_url=https://streaming.eu.assemblyai.com",
            "line 2 of .* looks like ASSEMBLYAI_BASE_URL but .*write ASSEMBLYAI_BASE_URL=",
            id="the address",
        ),
    ],
)
def test_a_value_that_is_there_but_not_read_is_named_by_its_line(
    folder: Path, written: str, said: str
):
    (folder / ".env").write_text(written)
    with pytest.raises(ConfigurationError, match=said) as caught:
        Settings.from_env()
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "written",
    [
        "OTHER_API_KEY: abc",
        "ASSEMBLY_API_KEY=abc",
        "VITE_ASSEMBLYAI_API_KEY=abc",
        "OLD_ASSEMBLYAI_API_KEY=abc",
        "ASSEMBLYAI_API_KEY_2=abc",
        "ASSEMBLYAI_WEBHOOK_SECRET=abc",
        "ASSEMBLYAI_API_URL=https://api.assemblyai.com",
        "KEY=$ASSEMBLYAI_API_KEY",
        "HOOK=https://example.com/?assemblyai_api_key=abc",
        "NOTE: the ASSEMBLYAI_API_KEY is elsewhere",
        'OTHER="no end',
        "# ASSEMBLYAI_API_KEY: abc",
        "; ASSEMBLYAI_API_KEY=abc",
        "// ASSEMBLYAI_API_KEY=abc",
        "REM set ASSEMBLYAI_API_KEY=abc",
        "ASSEMBLYAI_API_KEY",
        "ASSEMBLYAI_API_KEY=",
        'ASSEMBLYAI_API_KEY=""',
        "ASSEMBLYAI_API_KEY= # later",
        "ASSEMBLYAI_API_KEY: # later",
        "ASSEMBLY_AI_API_KEY=",
        "ASSEMBLYAI_API_KEY=abc\nASSEMBLYAI_API_KEY=",
        "",
    ],
)
def test_what_was_not_meant_to_be_the_key_is_left_alone(
    folder: Path, written: str, caplog: pytest.LogCaptureFixture
):
    (folder / ".env").write_text(f"{written}\n")
    assert Settings.from_env() == Settings()
    assert not caplog.records


UNREADABLE = {
    "UTF-16 without a mark": (
        RIGHT.decode().encode("utf-16-le"),
        "it looks like UTF-16 without a byte order mark; save it as UTF-8",
    ),
    "another alphabet": (
        b"A=1\n# Schl\xfcssel\n" + RIGHT,
        "line 2 is not valid UTF-8; save the file as UTF-8",
    ),
    "half of a UTF-16 letter": (
        b"\xff\xfeA\x00\x0a",
        "line 1 is not valid UTF-16; save the file as UTF-8",
    ),
}


@pytest.mark.parametrize(("written", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_cannot_be_decoded_is_said_in_one_line(folder: Path, written: bytes, said: str):
    (folder / ".env").write_bytes(written)
    with pytest.raises(ConfigurationError) as caught:
        default_settings()
    assert str(caught.value) == f"{folder / '.env'} cannot be read: {said}"


@pytest.mark.parametrize("key", [KEY, ""])
@pytest.mark.parametrize(
    "written",
    [
        *(line.format("abc").encode() for line in MEANT.values()),
        *(u[0] for u in UNREADABLE.values()),
    ],
)
def test_a_broken_file_prevents_nothing_when_the_environment_decides_on_the_key(
    folder: Path, monkeypatch: pytest.MonkeyPatch, key: str, written: bytes
):
    (folder / ".env").write_bytes(written)
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", key)
    assert Settings.from_env().api_key == (key or None)


def test_a_file_that_cannot_be_read_but_names_an_address_is_never_passed_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    text = "ASSEMBLYAI_BASE_URL=https://streaming.eu.assemblyai.com"
    (folder / ".env").write_bytes(text.encode("utf-16-le"))
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", KEY)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        default_settings()
    given = "https://streaming.assemblyai.com"
    assert Settings.from_env(base_url=given).base_url == given


@pytest.mark.parametrize("name", ["ASSEMBLY_AI_API_KEY", "ASSEMBLYAI_KEY", "ASSEMBLYAI_APIKEY"])
def test_a_look_alike_in_the_environment_is_named_unless_a_key_is_set(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.setenv(name, KEY)
    with pytest.raises(ConfigurationError) as caught:
        default_settings()
    assert str(caught.value) == (
        f"the environment has {name}, which is not read; rename it ASSEMBLYAI_API_KEY"
    )
    assert Settings.from_env(api_key="given").api_key == "given"
    for key in ("set", ""):
        monkeypatch.setenv("ASSEMBLYAI_API_KEY", key)
        assert Settings.from_env().api_key == (key or None)


def test_a_key_says_where_it_comes_from_and_which_other_it_hides(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    assert key_origin() == "nowhere"
    (folder / ".env").write_text(f"ASSEMBLYAI_API_KEY={KEY}")
    assert key_origin() == f"from {folder / '.env'}"
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", KEY)
    assert key_origin() == "from the environment"
    hides = f"hides the one in {folder / '.env'}"
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "another")
    assert key_origin() == f"the environment's key {hides}"
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "")
    assert key_origin() == f"the environment's empty ASSEMBLYAI_API_KEY {hides}"


@pytest.mark.parametrize(
    ("pasted", "said"),
    [
        ('"{}"', "a quotation mark"),
        ("{}'", "a quotation mark"),
        ("`{}`", "a quotation mark"),
        ("\u201c{}\u201d", "a quotation mark"),
        ("\u201e{}\u201c", "a quotation mark"),
        ("\u2019{}", "a quotation mark"),
        ("\u00ab{}\u00bb", "a quotation mark"),
        ("{},", "a comma or semicolon"),
        ("{};", "a comma or semicolon"),
        ("{}#mine", "a # sign"),
        ("<{}>", "a bracket"),
        ("[{}]", "a bracket"),
        ("{})", "a bracket"),
        ("Bearer {}", "a header's name or scheme"),
        ("Authorization: {}", "a header's name or scheme"),
        ("authorization:{}", "a header's name or scheme"),
        ("ASSEMBLYAI_API_KEY={}", "a colon or equals sign"),
        ("https://example.com/{}", "a colon or equals sign"),
        ("$KEY{}", "a $, % or backslash"),
        ("%KEY%{}", "a $, % or backslash"),
        ("{}\\n", "a $, % or backslash"),
        ("0123****{}", "the stars or dots of a masked key"),
        ("0123...{}", "the stars or dots of a masked key"),
        ("{}\n", "spaces or line breaks"),
        ("{} ", "spaces or line breaks"),
        ("{}\u200b", "characters that no key has"),
        ("\ufeff{}", "characters that no key has"),
        ("{}\x7f", "characters that no key has"),
    ],
    ids=ascii,
)
def test_what_was_pasted_with_a_key_is_named_before_the_network_and_the_key_is_not(
    pasted: str, said: str
):
    with pytest.raises(ConfigurationError) as caught:
        Settings(api_key=pasted.format(KEY)).require_key()
    assert str(caught.value).startswith(f"the AssemblyAI API key holds {said}; copy it again")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", [KEY, "any", "a.b_c-d~e", "c2VjcmV0LWtleQ=="])
def test_what_can_be_a_key_is_taken(key: str):
    assert Settings(api_key=key).require_key() == key


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
    monkeypatch.setattr("tempkit.config._sandbox", None)
    first, second = default_settings(), default_settings()
    assert first == second
    assert first.is_local
    assert capsys.readouterr().out.splitlines() == [
        f"No ASSEMBLYAI_API_KEY found: using the sandbox at {first.base_url}"
    ]


def test_without_a_key_and_without_the_sandboxs_extra_both_ways_out_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempkit.config._sandbox", None)
    monkeypatch.setitem(sys.modules, "soxr", None)
    with pytest.raises(ConfigurationError) as caught:
        default_settings()
    said = str(caught.value)
    assert said.startswith("there is no AssemblyAI API key; set ASSEMBLYAI_API_KEY in the ")
    assert "; or without a key, the sandbox needs soxr; install it: pip install" in said


def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "tempkit.sandbox.hearing.moonshine", raising=False)
    with pytest.raises(ConfigurationError, match=r"pip install moonshine-voice==0.0.73 numpy"):
        Sandbox().start()
