"""The sandbox's coverage table says what a session really does with each name."""

import inspect
import json
from dataclasses import fields
from pathlib import Path

import pytest

from tempkit import Sandbox
from tempkit.__main__ import main
from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.messages import KNOWN
from tempkit.protocol.parameters import ENCODINGS, RULES, SPEECH_MODELS, US_MODELS
from tempkit.sandbox.rules import Switches
from tests.test_sandbox_session import TERMINATE, US, said, started

PAGE = (Path(__file__).parent.parent / ".github/docs/sandbox.md").read_text()
U3 = US | {"speech_model": "universal-3-6-pro"}
MESSAGES = ("Terminate", "ForceEndpoint", "UpdateConfiguration", "KeepAlive")
VALUES = {bool: "true", int: "200", float: "0.5", str: "x", list: '["x"]', dict: '{"x": 1}'}
SMALL = {"sample_rate": "16000", "max_speakers": "2", "previous_context_n_turns": "2"}


def table() -> list[tuple[str, str, str]]:
    """Its rows: the part (repeated where the cell is empty), a name, what is done."""
    lines = PAGE.split("| part | names |")[1].split("\n\n")[0].splitlines()[2:]
    found, part = [], ""
    for line in lines:
        first, names, done = (cell.strip() for cell in line.strip("|").split("|"))
        part = first or part
        found += [(part, name.strip().strip("`"), done) for name in names.split(",")]
    return found


# What a parameter is not taken without.
BESIDE = {"voice_focus_threshold": {"voice_focus": "near-field"}}
ROWS = table()
NAMES = {name for _, name, _ in ROWS}


def outcome(name: str) -> str:
    """What a session does when it is asked for a parameter, a model or an encoding."""
    if name in SPEECH_MODELS:
        query = US | {"speech_model": name}
    elif name in ENCODINGS:
        query = US | {"encoding": name}
    else:
        rule = RULES[name]
        value = rule.known[0] if rule.known else SMALL.get(name, VALUES[rule.kind])
        query = (U3 if name not in US else US) | {name: value}
    _, messages = started(query | BESIDE.get(name, {}))
    if hasattr(messages[-1], "code"):
        assert messages[-1].code == CloseCode.BAD_INPUT
        return "refused"
    assert messages[0].type == "Begin"
    if len(messages) == 1:
        return "as documented"
    return f"{messages[1].type} {messages[1].warning_code}"


def test_the_table_names_everything_there_is():
    asked = set(RULES) - {"speech_model", "encoding"}
    assert {*SPEECH_MODELS, *ENCODINGS, *asked, *MESSAGES, *KNOWN} <= NAMES
    codes = {"1000", "1001", "1008", "1011"} | {str(int(code)) for code in CloseCode if code > 3000}
    assert codes <= NAMES


@pytest.mark.parametrize(
    ("name", "done"),
    [(name, done) for _, name, done in ROWS if name in (*RULES, *SPEECH_MODELS, *ENCODINGS)],
)
def test_a_row_says_what_happens(name: str, done: str):
    assert done.startswith(outcome(name))


@pytest.mark.parametrize(
    ("name", "value"),
    [("language_code", "en"), ("language_codes", '["en"]')],
)
def test_what_the_sandbox_does_anyway_needs_no_warning(name: str, value: str):
    plain = value.strip('["]')
    done = next(done for _, other, done in ROWS if other == name)
    assert f"unless `{plain}`" in done
    _, messages = started(U3 | {name: value})
    assert len(messages) == 1


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_that_it_takes_is_taken(name: str):
    session, _ = started({"speech_model": US_MODELS[0]})
    assert said(session, json.dumps({"type": name})) == [] or name == TERMINATE["type"]


def test_every_switch_is_an_argument_an_option_of_the_command_line_and_documented(capsys):
    with pytest.raises(SystemExit):
        main(["sandbox", "--help"])
    options, arguments = capsys.readouterr().out, inspect.signature(Sandbox).parameters
    for switch in fields(Switches):
        name = {"realtime": "fast", "api_keys": "api-key"}.get(switch.name, switch.name)
        assert f"--{name.replace('_', '-')}" in options
        assert f"`{switch.name}`" in PAGE or f"{switch.name}=" in PAGE
        assert arguments[switch.name].default == switch.default
