"""The page with files: cut lines, what is done with the text, and what the panel shows."""

import re
import wave
from difflib import SequenceMatcher

import pysubs2
import pytest

from tempkit import Clip, Sandbox, Settings, TokenServer, connect, transcribe
from tempkit.protocol.recording import Recording
from tempkit.sandbox import Faults
from tests import test_browser
from tests.doubles import spoken
from tests.relay import Relay
from tests.test_browser import (
    PUBLIC,
    SECONDS,
    Held,
    expect,
    expect_played,
    expect_state,
    expect_was,
    expect_words,
    opened,
    press,
    transcript,
    visited,
    words_of,
)

SPEECH = spoken(2, milliseconds=900, pause=600)
scripted, server = test_browser.scripted, test_browser.server


@pytest.fixture
def speech(tmp_path):
    """A file with two turns for the scripted sandbox."""
    path = tmp_path / "two turns.wav"
    write(path, SPEECH)
    return path


def write(path, pcm):
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(pcm)


def open_file(page, path):
    page.locator("#file").set_input_files(path)


def test_the_line_is_cut_three_times_and_the_words_are_the_same(browser, tmp_path):
    three = Clip(Clip.read(PUBLIC / "sample.wav").pcm[: 12_400 * 32], 16000)  # sentences
    write(tmp_path / "three.wav", three.pcm)
    with Sandbox(realtime=False) as sandbox:
        uncut = words_of(transcribe(three, sandbox.settings, realtime=False).text)
        # In the middle of the first, the second and the third sentence.
        cuts = [(70_000, "up"), (180_000, "up"), (190_000, "up")]
        with (
            Relay(sandbox.port, cuts) as relay,
            TokenServer(Settings("any", relay.url), port=0) as server,
            visited(browser, server.url) as page,
        ):
            open_file(page, tmp_path / "three.wav")
            expect_played(page, 60)
            assert relay.made == 3
            assert page.locator("#log").text_content().count("Again in") == 3
            expect(page.get_by_role("status")).to_be_empty()
            found = words_of(transcript(page))
            starts = page.locator("#finals time").all_text_contents()
    changes = SequenceMatcher(None, uncut, found, autojunk=False).get_opcodes()
    # Where a cut splits what is recognised, one word may be heard otherwise.
    assert sum(max(b - a, d - c) for tag, a, b, c, d in changes if tag != "equal") <= 3, found
    assert len(found) == len(uncut)
    assert starts == sorted(starts)


def test_a_picked_file_is_played_with_progress_and_ends_by_itself(browser, server, speech):
    with opened(browser, "about:blank") as page:
        frames = test_browser.frames_sent(page)
        page.goto(server.url)
        open_file(page, speech)
        expect_played(page)
        assert transcript(page) == "Hello there. How are you?"
        assert page.get_by_role("progressbar").get_attribute("aria-valuenow") == "100"
        sent = b"".join(frame for frame in frames if isinstance(frame, bytes))
        assert sent == SPEECH  # every sample, once
        assert page.evaluate("window.tracks.length") == 0


@pytest.mark.parametrize(
    "end",
    [{"close_code": code} for code in (1000, 1005, 1012, 1013, 4001)] + [{}],
    ids=["1000", "1005", "1012", "1013", "4001", "Termination"],
)
def test_an_end_that_nobody_asked_for_costs_no_word(browser, scripted, server, speech, end):
    what = "close" if end else "terminate"
    # In the second turn: what was said of it so far is said again by the second session.
    scripted.faults = Faults(**{f"{what}_after_audio_seconds": 2.2}, **end, sessions=1)
    with visited(browser, server.url) as page:
        open_file(page, speech)
        expect_played(page)
        assert len([entry for entry in scripted.journal if entry.name == "Begin"]) == 2
        finals = page.locator("#finals time")
        expect(finals).to_have_text(["0:00", "0:01"])
        expect(page.get_by_role("alert")).to_be_empty()


def test_a_page_that_gets_no_worker_plays_a_file_all_the_same(browser, server, speech):
    with visited(browser, server.url) as page:
        refused = []
        page.route("**/alarm.js", lambda route: [refused.append(route), route.abort()])
        # A token that comes before the file is open leaves nothing to wait for: that ends a worker.
        held = Held(page)
        open_file(page, speech)
        expect_was(page, "connecting")
        held.let_go()
        expect_played(page)
        assert len(refused) == 1
        assert transcript(page) == "Hello there. How are you?"


def test_a_file_that_is_dropped_is_played_and_stop_stops_it(browser, server, tmp_path):
    write(tmp_path / "long.wav", SPEECH * 5)
    with visited(browser, server.url) as page:
        data = page.evaluate_handle(
            """bytes => {
                const transfer = new DataTransfer();
                transfer.items.add(new File([Uint8Array.from(bytes)], 'dropped.wav'));
                return transfer;
            }""",
            list((tmp_path / "long.wav").read_bytes()),
        )
        page.locator("#transcript").dispatch_event("drop", {"dataTransfer": data})
        expect_words(page, "hello")
        expect(page.locator("#state")).to_have_text("Listening to the file")
        press(page, "Stop")
        expect_state(page, "idle")
        assert transcript(page).startswith("Hello there.")
        assert page.get_by_role("progressbar").get_attribute("aria-valuenow") != "100"


def test_a_file_that_is_no_sound_is_named(browser, server, tmp_path):
    (tmp_path / "notes.txt").write_text("no sound at all")
    with visited(browser, server.url) as page:
        open_file(page, tmp_path / "notes.txt")
        expect(page.get_by_role("alert")).to_contain_text("notes.txt is not audio")
        expect_state(page, "failed")


def test_the_text_can_be_copied_and_saved_with_its_times(browser, server, speech):
    permissions = ["clipboard-read", "clipboard-write"]
    with opened(browser, server.url, permissions=permissions) as page:
        expect(page.locator("#tools")).to_be_hidden()
        open_file(page, speech)
        expect_played(page)
        press(page, "Copy")
        expect(page.get_by_role("status")).to_have_text("Copied.")
        text = "Hello there.\nHow are you?\n"
        assert page.evaluate("navigator.clipboard.readText()") == text
        with page.expect_download() as saved:
            press(page, "Save as text")
        assert saved.value.suggested_filename == "transcript.txt"
        assert saved.value.path().read_text() == text
        for name, ending in (("SubRip", "srt"), ("WebVTT", "vtt")):
            with page.expect_download() as saved:
                press(page, f"Save as {name}")
            assert saved.value.suggested_filename == f"transcript.{ending}"
            captions = pysubs2.load(saved.value.path(), format_=ending)
            assert [each.text for each in captions] == ["Hello there.", "How are you?"]
            assert 0 < captions[0].start < captions[0].end <= captions[1].start


def test_the_panel_shows_what_goes_both_ways_and_no_secret(browser, server, speech):
    with visited(browser, server.url) as page:
        page.get_by_text("For developers").click()
        with page.expect_response("**/token") as answer:
            open_file(page, speech)
        token = answer.value.json()["token"]
        expect_was(page, "live")
        expect(page.locator("#token")).to_contain_text("spent")
        expect(page.locator("#rate")).to_have_text("16000 Hz")
        expect(page.locator("#session")).to_contain_text(re.compile(r"[0-9a-f-]{36}, until"))
        expect_state(page, "idle")
        expect(page.locator("#lag")).to_contain_text(re.compile(r"\d\.\d\d s"))
        log = page.locator("#log").inner_text()
        for entry in ("?token=•••", " audio, ", "Begin", "Turn", "Terminate", "Termination"):
            assert entry in log
        assert token not in page.content()


def test_the_transcript_follows_the_newest_words_until_the_reader_scrolls(browser, server, speech):
    with opened(browser, server.url, viewport={"width": 360, "height": 480}) as page:
        box = page.locator("#transcript")
        box.evaluate("box => { box.style.fontSize = '6rem'; box.style.maxHeight = '8rem'; }")
        open_file(page, speech)
        expect_was(page, "live")
        expect(page.locator("#finals")).to_contain_text("Hello there.", timeout=15 * SECONDS)
        assert box.evaluate("box => box.scrollTop") > 0
        # The event of it would come with the next picture, and new words before that.
        box.evaluate("box => { box.scrollTop = 0; box.dispatchEvent(new Event('scroll')); }")
        expect_state(page, "idle")
        assert box.evaluate("box => box.scrollTop") == 0
        press(page, "Go to the newest words")
        assert box.evaluate("box => box.scrollTop") > 0
        expect(page.locator("#newest")).to_be_hidden()


def test_the_page_gets_the_turns_of_a_recording_byte_for_byte(browser, tmp_path):
    sound = Clip(Clip.read(PUBLIC / "sample.wav").pcm[: 4400 * 32], 16000)  # a sentence
    write(tmp_path / "one.wav", sound.pcm)
    recorded = tmp_path / "recorded.jsonl"
    with Sandbox(realtime=False) as sandbox:
        with connect(sandbox.settings, record=recorded) as session:
            for _ in session.stream(sound.chunks(), realtime=False):
                pass
    with (
        Sandbox(replay=recorded) as replaying,
        TokenServer(replaying.settings, port=0) as server,
        opened(browser, "about:blank") as page,
    ):
        frames = test_browser.frames_received(page)
        page.goto(server.url)
        open_file(page, tmp_path / "one.wav")
        expect_played(page, 30)
        assert transcript(page) == str(session.transcript)
    is_turn = '"type": "Turn"'
    said = [line.data for each in read(recorded) for line in each.frames if line.by == "service"]
    expected = [text for text in said if isinstance(text, str) and is_turn in text]
    assert [text for text in frames if isinstance(text, str) and is_turn in text] == expected


def read(path):
    return Recording.read(path.read_text().splitlines())
