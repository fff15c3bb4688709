"""The page in a tab that nobody sees, in a browser that slows such tabs down."""

from tests.benchmarks.hidden import play
from tests.conftest import require


def test_a_hidden_tab_plays_a_file_on_time_and_heals_a_cut_line_at_once():
    played = play(require("chromium"), turns=28, hidden_seconds=75, cut_seconds=(62,))
    assert len(played.late) == 28
    # Timers that are slowed down come a minute late.
    assert max(played.late) < 20, played
    assert played.ended_late < 20, played
    assert played.sockets == 2
