"""The probes: what is asked, where that is documented, and what is to come back."""

import json
import time
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tests.doubles import chunked, silence
from tests.parity.talk import Endpoint, Frame, Seen, Talk
from tests.words import SAMPLE

US, U3 = "universal-streaming-english", "universal-3-6-pro"
INPUT = "3006: User Input Validation Error: "
END = "; close 3006 See Error message for details"
UNAUTHORIZED = "1008: Unauthorized Connection: "
REFUSED = "; close 1008 See Error message for details"
DURATION = "3007: Input Duration Error: Input Duration Violation: "
TERMINATE, FORCE = '{"type": "Terminate"}', '{"type": "ForceEndpoint"}'


def update(**fields: object) -> str:
    return json.dumps({"type": "UpdateConfiguration", **fields})


def sentence(milliseconds: int = 4600) -> tuple[bytes, ...]:
    """The start of the sample, a sentence and a half, in pieces of 100 ms."""
    with wave.open(str(SAMPLE)) as sound:
        return tuple(chunked(sound.readframes(16 * milliseconds)))


SPEECH = (*sentence(), *chunked(silence(1600)), TERMINATE)
# Tell what came back in a few words.
Tells = Callable[[Seen], str]


class Outcome(NamedTuple):
    """What a probe told, and for a session its query and frames."""

    told: str
    query: dict[str, str]
    frames: Sequence[Frame]


@dataclass(frozen=True)
class Probe:
    """A question to an endpoint, the answer that is documented, and how long it takes.

    ``source`` is the section of the protocol notes; "?" as the answer: the documentation leaves it
    open, or says one thing where another was seen.
    """

    name: str
    source: str
    documented: str
    run: Callable[[Endpoint], Outcome]
    sessions: int = 1
    seconds: float = 2.0

    @property
    def is_open(self) -> bool:
        """Whether the documentation leaves the answer open."""
        return self.documented == "?"


def asking(
    name: str,
    source: str,
    documented: str,
    path: str,
    query: dict[str, int],
    *,
    method: str = "GET",
    key: str | None = "",
    tells: Callable[[object], str] = lambda body: "",
) -> Probe:
    """A probe of an HTTP route: the status, and what its JSON body tells."""

    def run(endpoint: Endpoint) -> Outcome:
        answer = endpoint.ask(method, path, query, key=key)
        told = ""
        if answer.headers.get("content-type", "").startswith("application/json"):
            told = tells(answer.json())
        return Outcome(f"{answer.status_code} {told}".strip(), {}, ())

    return Probe(name, source, documented, run, sessions=0, seconds=0.5)


def talking(
    name: str,
    source: str,
    documented: str,
    tells: Tells,
    steps: Sequence[str | bytes | float],
    *,
    seconds: float | None = None,
    credential: str = "key",
    **query: object,
) -> Probe:
    """A probe of a session: what its frames tell."""
    sound = sum(len(step) for step in steps if isinstance(step, bytes)) / 32_000
    pauses = sum(step for step in steps if isinstance(step, float))

    def run(endpoint: Endpoint) -> Outcome:
        asked = {"sample_rate": "16000", "speech_model": US} | {k: str(query[k]) for k in query}
        asked = {name: value for name, value in asked.items() if value}
        key = credentials(endpoint, credential)
        seen = Talk(endpoint, asked, key).hold(steps)
        return Outcome(tells(seen), asked, seen.frames)

    sessions = 2 if credential == "spent" else 1
    return Probe(name, source, documented, run, sessions, seconds or sound + pauses + 2)


def credentials(endpoint: Endpoint, kind: str) -> str | None:
    """What goes into the Authorization header."""
    if kind == "spent":
        token = endpoint.token()
        Talk(endpoint, {"sample_rate": "16000", "speech_model": US}, token).hold([TERMINATE])
        return token
    if kind == "expired":
        token = endpoint.token(1)
        time.sleep(2)  # nothing tells when it has run out
        return token
    if kind == "capped":
        return endpoint.token(max_session_duration_seconds=60)
    given = {"key": endpoint.key, "none": None, "wrong": "0" * 32, "token": None}
    return f"Bearer {endpoint.key}" if kind == "bearer" else given[kind]


def problem(body: object) -> str:
    """The first problem of a 422."""
    try:
        first = body["detail"][0]  # type: ignore[index]
        return f"{first['type']} {'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (LookupError, TypeError):
        return "another body"


def heartbeat(seen: Seen) -> str:
    beats = [(at, m) for at, m in seen.messages if m.get("type") == "Heartbeat"]
    if not beats:
        return "none"
    at, beat = beats[0]
    began = next(at for at, m in seen.messages if m.get("type") == "Begin")
    times = "after about 5 s" if 4 <= at - began <= 6.5 else f"after {at - began:.1f} s"
    return f"{times}: {', '.join(sorted(beat))}"


def prompt_end(seen: Seen) -> str:
    waited = seen.seconds_from(TERMINATE, "Termination")
    if waited is None:
        return "never"
    return "within 10 s" if waited <= 10 else f"after {waited:.0f} s"


def languages(seen: Seen) -> str:
    finals = [t for t in seen.all("Turn") if t["end_of_turn"]]
    partials = [t for t in seen.all("Turn") if not t["end_of_turn"]]
    codes = {t.get("language_code") for t in finals}
    on_partials = ", on partials, too" if any("language_code" in t for t in partials) else ""
    return f"{', '.join(map(str, codes))}{on_partials}"


def partials_formatted(seen: Seen) -> str:
    said = {t["turn_is_formatted"] for t in seen.all("Turn") if not t["end_of_turn"]}
    return " and ".join(map(str, sorted(said))).lower() or "no partial"


def model(seen: Seen) -> str:
    begins = seen.all("Begin")
    return str(begins[0].get("configuration", {}).get("model")) if begins else seen.refusal()


def refused(name: str, text: str, source: str = "2.3", **query: object) -> Probe:
    return talking(name, source, INPUT + text + END, Seen.refusal, [TERMINATE], **query)


HTTP = [
    asking("no Authorization", "1", "422 missing header.authorization: Field required",
           "/v3/token", {"expires_in_seconds": 60}, key=None, tells=problem),
    asking("a window of 0 s", "1", "422 greater_than_equal query.expires_in_seconds: "
           "Input should be greater than or equal to 1",
           "/v3/token", {"expires_in_seconds": 0}, tells=problem),
    asking("a window of 601 s", "1", "422 less_than_equal query.expires_in_seconds: "
           "Input should be less than or equal to 600",
           "/v3/token", {"expires_in_seconds": 601}, tells=problem),
    asking("no window", "1", "422 missing query.expires_in_seconds: Field required",
           "/v3/token", {}, tells=problem),
    asking("a token", "1", "200 expires_in_seconds, token", "/v3/token",
           {"expires_in_seconds": 60}, tells=lambda body: ", ".join(sorted(body))),  # type: ignore[call-overload]
    asking("a wrong key for a token", "10", "?", "/v3/token", {"expires_in_seconds": 60},
           key="0" * 32),
    asking("POST on the token route", "11", "405", "/v3/token", {}, method="POST"),
    asking("OPTIONS on the token route (CORS)", "10", "?", "/v3/token", {}, method="OPTIONS"),
    asking("a wrong path", "2.2", "403", "/v3/stream", {}),
    asking("the old socket", "2.2", "410", "/v2/realtime/ws", {}),
]  # fmt: skip

OPENING = [
    talking("no credentials", "6", UNAUTHORIZED + "Missing Authorization header" + REFUSED,
            Seen.refusal, [], credential="none"),
    talking("a wrong key", "6", UNAUTHORIZED + "Invalid API key" + REFUSED,
            Seen.refusal, [], credential="wrong"),
    talking("a key with Bearer", "6", UNAUTHORIZED + "Invalid API key" + REFUSED,
            Seen.refusal, [], credential="bearer"),
    talking("an expired token", "6", UNAUTHORIZED + "Signature has expired" + REFUSED,
            Seen.refusal, [], credential="expired", seconds=4),
    talking("a token used twice", "1, 10", "?", Seen.refusal, [TERMINATE], credential="spent"),
    talking("no model named", "11", U3, model, [TERMINATE], speech_model=""),
    refused("a rate of 7000", "Invalid 'sample_rate': Value error, "
            "sample_rate must be at least 8,000 Hz", sample_rate=7000),
    refused("an encoding that is none", "Invalid 'encoding': Value error, "
            "'flac' is not a valid Encoding", encoding="flac"),
    refused("a number with a point", "Invalid 'min_turn_silence': Value error, invalid literal "
            "for int() with base 10: '160.0'", min_turn_silence="160.0"),
    refused("key terms with commas", "Invalid 'keyterms_prompt': Value error, "
            "Invalid JSON array", keyterms_prompt="a,b"),
    talking("voice_focus_threshold alone", "11", "refused", lambda seen: "refused"
            if seen.all("Error") else "taken", [TERMINATE], speech_model=U3,
            voice_focus_threshold=0.5),
    talking("mode on a US model", "11", "refused", lambda seen: "refused"
            if seen.all("Error") else "taken", [TERMINATE], mode="balanced"),
    talking("multi beside another language", "11", "refused", lambda seen: "refused"
            if seen.all("Error") else "taken", [TERMINATE], speech_model=U3,
            language_codes='["multi", "en"]'),
]  # fmt: skip

MESSAGES = [
    talking("no JSON", "3.2", INPUT + "Invalid JSON: Expecting property name enclosed in double "
            "quotes: line 1 column 2 (char 1)" + END, Seen.refusal, ["{not json"]),
    talking("an unknown type", "3.2, 10", INPUT + "Invalid Message Type: Bogus" + END,
            Seen.refusal, ['{"type": "Bogus"}']),
    talking("1200 ms in a message", "3.1", DURATION + "1200.0 ms. Expected between 50 and 1000 ms"
            "; close 3007 See Error message for details", Seen.refusal, [silence(1200)]),
    talking("messages of 20 ms", "3.1", DURATION + "20.0 ms. Expected between 50 and 1000 ms"
            "; close 3007 See Error message for details", Seen.refusal, [silence(20)] * 60),
    talking("20 ms before Terminate", "10", "?", Seen.closed,
            [*chunked(silence(1500)), silence(20), TERMINATE]),
    talking("audio after Terminate", "10", "?", Seen.closed, [TERMINATE, silence(100)]),
    talking("over 128 KB", "11", "close 1009", lambda seen: seen.closed()[:10],
            ["x" * (128 * 1024 + 1)]),
    talking("5 s without a message", "5.4, 10", "3006: Session terminated due to inactivity: "
            "No messages received for 5 seconds" + END, Seen.refusal, [], seconds=7,
            inactivity_timeout=5),
    talking("updates", "11", "Begin, Termination, close 1000 Session Ended", Seen.types,
            [update(agent_context="Hello."), update(mode="min_latency"), TERMINATE],
            speech_model=U3),
    talking("ForceEndpoint, nothing open", "3.2", "Begin, Termination, close 1000 Session Ended",
            Seen.types, [*chunked(silence(500)), FORCE, TERMINATE], speech_model=U3),
    talking("the codes of Warnings", "10", "?",
            lambda seen: ", ".join(str(w["warning_code"]) for w in seen.all("Warning")) or "none",
            [TERMINATE], speech_model=U3, domain="medical-v1", language_codes='["ja"]'),
    talking("a heartbeat", "4.1", "after about 5 s: max_speech_probability, realtime_factor, "
            "total_audio_received_ms, total_duration_ms, type", heartbeat, [5.7, TERMINATE],
            session_heartbeat="true"),
]  # fmt: skip


def spoken(name: str, source: str, documented: str, tells: Tells, **query: object) -> Probe:
    return talking(name, source, documented, tells, SPEECH, **query)


def together(*tells: Tells) -> Tells:
    return lambda seen: "; ".join(tell(seen) for tell in tells)


SPEAKING = [
    spoken("finals with format_turns", "4.2, 10", "?", Seen.finals, format_turns="true"),
    spoken("finals without format_turns, and what comes", "4.2, 4.3",
           "0, p; Begin, Turn, Termination, close 1000 Session Ended",
           together(Seen.finals, Seen.types), format_turns="false"),
    spoken("a U3 session: finals, are partials formatted, languages, the end", "4.2, 4.3, 11",
           "F; true; en; within 10 s",
           together(Seen.finals, partials_formatted, languages, prompt_end),
           speech_model=U3, min_turn_silence=400, language_detection="true"),
]  # fmt: skip

LONGEST = talking(
    "the longest duration", "10", "?", Seen.refusal, [61.0], credential="capped", seconds=62
)
PROBES = (*HTTP, *OPENING, *MESSAGES, *SPEAKING, LONGEST)
