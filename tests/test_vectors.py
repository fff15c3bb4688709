"""The rules that Python and the page share: tests/js/vectors.test.mjs reads the same tables."""

import json
import random
import subprocess
from array import array
from pathlib import Path

import httpx
import pytest

from tempkit import (
    Reconnect,
    ServiceUnreachable,
    SessionClosed,
    SessionParameters,
    Settings,
    TempkitError,
    TokenRefused,
    TokenServer,
    generate_temp_token,
)
from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.messages import Begin, Heartbeat, Termination, Turn, Word, dump
from tempkit.sound.samples import AudioFormat
from tempkit.streaming.backlog import Backlog
from tempkit.streaming.retry import pause_before, pause_before_opening
from tempkit.streaming.session import TERMINATE, ClientSession
from tempkit.streaming.watch import Watch
from tests.conftest import require
from tests.halves import Line, tones

FOLDER = Path(__file__).parent / "vectors"
SAMPLES, BYTES = 16, 32  # in a millisecond


def cases(name, language=""):
    rows = json.loads((FOLDER / f"{name}.json").read_text())
    rows = [row for row in rows if row.get("only", language) == language]
    return pytest.mark.parametrize("case", rows, ids=lambda row: str(row["name"]))


def sound(start, end):
    """Samples that say where they are, none of them zero; ms."""
    values = (n % 30_000 + 1 for n in range(start * SAMPLES, end * SAMPLES))
    return array("h", values).tobytes()


def taken(backlog, now):
    pieces = []
    while (at := backlog.sent, piece := backlog.take(now))[1] is not None:
        if isinstance(piece, str):
            pieces.append(piece)
            continue
        start, real = at // BYTES, (backlog.sent - at) // BYTES
        assert piece == sound(start, start + real).ljust(len(piece), b"\0")
        pieces.append([start, len(piece) // BYTES])
    return pieces


def failure(code=None, reason="", status=None, isUnreachable=False, mayPass=False):  # noqa: N803
    if isUnreachable:
        return ServiceUnreachable("gone", may_pass=mayPass)
    if status is not None:
        return TokenRefused(status, "", "")
    return SessionClosed(code, reason, "")


def message(short):
    """A message of the service from the short form in the tables."""
    if short == "Begin":
        return dump(Begin("s", 1))
    kind, order, *rows = ["Termination", 1] if short == "Termination" else short
    if kind == "Termination":
        return dump(Termination(order, order))
    if kind == "Heartbeat":
        return dump(Heartbeat(order, order, 1.0))
    is_final, is_formatted = kind != "partial", kind == "formatted"
    words = tuple(Word(text, start, end, 1.0, is_final) for text, start, end in rows)
    text = " ".join(word.text for word in words) if is_final else ""
    return dump(Turn(order, is_formatted, is_final, text, 0.5, words))


@cases("retry")
def test_when_a_lost_session_is_opened_again(case):
    assert pause_before(case["attempt"], failure(**case["failure"]), case["luck"]) == case["pause"]


@cases("token-answers")
def test_what_a_failed_token_says_about_asking_again(case, service):
    settings = service.settings
    if case["service"] is None:
        settings = Settings("any", "http://127.0.0.1:9")
    else:
        service.status, service.body = case["service"], b"{}"
    with pytest.raises(TempkitError) as failed:
        generate_temp_token(settings=settings)
    assert pause_before(0, failed.value, 0.5) == case["pause"]
    with TokenServer(settings, port=0) as server:
        answer = httpx.get(f"{server.url}/token", trust_env=False)
    told = {name: answer.json().get(name) for name in ("code", "status")}
    assert {name: value for name, value in told.items() if value is not None} == case["answer"]
    assert answer.status_code == 500


@cases("opening")
def test_when_the_first_connection_is_tried_again(case):
    found = pause_before_opening(case["attempt"], failure(**case["failure"]), case["luck"])
    assert found == case["pause"]


def test_what_each_close_code_asks_for():
    rows = json.loads((FOLDER / "close-codes.json").read_text())
    assert {row["code"]: row["then"] for row in rows} == {
        row["code"]: CloseCode.then_for(row["code"]).value for row in rows
    }
    assert {int(code) for code in CloseCode} <= {row["code"] for row in rows}


class Looking:
    """A watch that is looked at every quarter of a second."""

    def __init__(self, ends):
        self.watch = Watch(Reconnect().stall_seconds, 0.0, ends)
        self.now = self.slept = 0.0
        self.is_between_turns = True
        self.cause = None

    def jump(self, to):
        self.now = to
        found = self.watch.look(to, self.slept, is_between_turns=self.is_between_turns)
        if found and not self.cause:
            self.cause = [to, found.code, found.reason]

    def look(self, until):
        while self.now < until:
            self.jump(self.now + 0.25)

    def beats(self, until, taken=None):
        for at in range(int(self.now) // 5 * 5 + 5, until + 1, 5):
            self.look(at)
            if taken is None:
                self.watch.send(at)
            self.watch.hear(at, at * 1000 if taken is None else taken)


@cases("watch", "python")
def test_when_a_connection_is_taken_for_lost(case):
    looking = Looking(case["ends"])
    for step, *values in case["steps"]:
        if step == "asleep":
            looking.slept = values[0]
        elif step == "in a turn":
            looking.is_between_turns = False
        elif step in ("send", "hear", "terminate"):
            getattr(looking.watch, step)(looking.now, *values)
        else:
            getattr(looking, step)(*values)
    assert looking.cause == case["cause"]


@cases("backlog")
def test_what_is_kept_and_carried_again(case):
    backlog = Backlog(AudioFormat(16000), limit_seconds=case["limit_seconds"], rate=case["rate"])
    offered = 0
    for step, value, *expected in case["steps"]:
        if step == "offer":
            backlog.offer(sound(offered, offered + value))
            offered += value
        elif step == "take":
            assert [taken(backlog, value)] == expected
        elif step == "send":
            taken(backlog, value)
        else:
            found = getattr(backlog, step)(value)
            assert found == (expected[0] if expected else None)
    kept = [backlog.start // BYTES, backlog.end // BYTES]
    found = [kept, backlog.sent // BYTES, backlog.lost // BYTES, backlog.is_sent]
    assert found == [case[name] for name in ("kept", "sent", "lost", "is_sent")]


@cases("session")
def test_what_a_session_makes_of_its_connections(case):
    half = ClientSession(SessionParameters(), Reconnect())
    for step, *values in case["steps"]:
        if step == "connect":
            half.connected(*values)
        elif step == "offer":
            half.backlog.offer(bytes(values[0] * BYTES))
        elif step == "send":
            while half.backlog.take(*values) is not None:
                pass
        elif step == "receive":
            assert received(half, message(values[0])) == values[1]
        elif step == "odd":
            count = half.odd.total()
            assert half.receive(values[0]) is None
            assert half.odd.total() == count + 1
        elif step == "closed":
            closed = half.closed(failure(values[0]))
            assert (closed and closed.code) == values[1]
        else:
            getattr(half, step)(*values)
    transcript, backlog = half.transcript, half.backlog
    assert [turn.transcript for turn in transcript.turns] == case["finals"]
    assert transcript.partial == case["partial"]
    assert [[word.text, word.start, word.end] for word in transcript.words] == case["words"]
    assert [backlog.start // BYTES, backlog.end // BYTES] == case["kept"]
    assert backlog.lost // BYTES == case["lost"]


def received(half, text):
    try:
        found = half.receive(text)
    except SessionClosed as closed:
        return {"closed": closed.code}
    return found and getattr(found, "turn_order", found.type)


def recorded(audio, cuts):
    """Everything that a session was asked to do over a line that is cut, and what it answered."""
    line, steps = Line(audio, cuts), []

    def record(owner, name):
        original = getattr(owner, name)

        def recording(*given):
            answer = original(*given)
            steps.append([name, plain(*given), plain(answer)])
            return answer

        setattr(owner, name, recording)

    for name in ("connected", "receive", "pass_time", "end_audio"):
        record(line.half, name)
    for name in ("offer", "take"):
        record(line.half.backlog, name)
    line.run()
    half = line.half
    words = [[word.text, word.start, word.end] for word in half.transcript.words]
    kept = [half.backlog.start // 2, half.backlog.end // 2]
    return {"steps": steps, "words": words, "kept": kept, "lost": half.backlog.lost // 2}


def plain(value=None):
    """What JSON can hold of it: the number of samples, a turn's number and words, a type."""
    if value == TERMINATE:  # the two write it with other spaces
        return {"type": "Terminate"}
    if isinstance(value, bytes):
        return len(value) // 2
    if isinstance(value, Turn):
        return [value.turn_order, [[word.text, word.start, word.end] for word in value.words]]
    return getattr(value, "type", value)


def test_the_page_does_what_python_does_however_the_line_is_cut():
    audio = tones(("ba ce di fo", "gu ha", "je ki lo mu na", "pe ri so", "tu va ba"))
    audio = audio[: -len(audio) % 3200 - 2240]  # the last piece has 30 ms
    runs = []
    for seed in range(20):
        chance = random.Random(seed)
        places = chance.sample(range(400), seed % 7)
        runs.append(recorded(audio, sorted(place + chance.choice((0, 0.5)) for place in places)))
    command = [require("node"), str(FOLDER.parent / "js" / "replay.mjs")]
    page = subprocess.run(command, input=json.dumps(runs), capture_output=True, text=True)
    assert page.returncode == 0, page.stderr
