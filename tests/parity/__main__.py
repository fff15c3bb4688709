"""TEMPKIT_PARITY=1 python -m tests.parity: put every probe to the sandbox and to the service.

It needs an API key in the environment or .env, says what it costs and asks before it starts. A
table of what came back is written to parity.md, the frames, without key and tokens, beside it.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tempkit import ConfigurationError, Sandbox, Settings
from tempkit.protocol.recording import head_line
from tests.parity.probes import PROBES, Outcome, Probe
from tests.parity.talk import Endpoint

DOLLARS_AN_HOUR = 0.45  # the dearest streaming model on AssemblyAI's price page, October 2026
HEAD = "| probe | section | documented | sandbox | service | |\n|---|---|---|---|---|---|\n"
KEY = "parity"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 when all agree, 1 when something differs, 2 when nothing was asked."""
    options = read_options(arguments)
    settings = Settings.from_env()
    if os.environ.get("TEMPKIT_PARITY") != "1" or not settings.api_key:
        print("set TEMPKIT_PARITY=1, and ASSEMBLYAI_API_KEY to a key of your own", file=sys.stderr)
        return 2
    probes = [probe for probe in PROBES if probe.name not in options.skip]
    print(cost(probes, options.per_minute))
    if not options.yes and input("Go on? [y/N] ").strip().lower() != "y":
        return 2
    paced = not options.fast
    service = Endpoint("service", settings.base_url, settings.require_key(), realtime=paced)
    with Sandbox(realtime=False, api_keys=frozenset({KEY})) as sandbox:
        local = Endpoint("sandbox", sandbox.url, KEY, realtime=False)
        rows = compare(probes, local, service, options)
    differing = sum(not agree for *_, agree in rows)
    table = HEAD + "".join(row(*each) for each in rows)
    (options.folder / "parity.md").write_text(table)
    print(f"{differing} of {len(rows)} probes differ; see {options.folder / 'parity.md'}")
    return min(differing, 1)


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description=__doc__)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--folder", type=Path, default=Path("parity"), help="where results go")
    help_text = "new sessions a minute; a free account has 5"
    parser.add_argument("--per-minute", type=float, default=5, help=help_text)
    parser.add_argument("--skip", action="append", default=[], metavar="PROBE")
    parser.add_argument("--fast", action="store_true", help="send audio at once")
    options = parser.parse_args(arguments)
    options.folder.mkdir(exist_ok=True)
    return options


def cost(probes: Sequence[Probe], per_minute: float) -> str:
    """What asking the service costs, in a sentence."""
    sessions = sum(probe.sessions for probe in probes)
    seconds = sum(probe.seconds for probe in probes if probe.sessions)
    dollars = seconds / 3600 * DOLLARS_AN_HOUR
    minutes = max(sessions / per_minute, seconds / 60)
    return (
        f"{sessions} sessions, {seconds:.0f} s in all: about ${dollars:.2f} at "
        f"${DOLLARS_AN_HOUR} an hour, and {minutes:.0f} minutes"
    )


def compare(
    probes: Sequence[Probe], local: Endpoint, service: Endpoint, options: argparse.Namespace
) -> list[tuple[Probe, str, str, bool]]:
    """Each probe, what sandbox and service told, and whether that is the same."""
    rows, free_at = [], 0.0
    for probe in probes:
        here = probe.run(local).told
        if probe.sessions:
            time.sleep(max(0.0, free_at - time.monotonic()))
            free_at = time.monotonic() + probe.sessions * 60 / options.per_minute
        there = ask(probe, service)
        keep(options.folder, probe.name, there, service)
        rows.append((probe, here, there.told, here == there.told))
        print(f"{'agree ' if here == there.told else 'differ'} {probe.name}", flush=True)
    return rows


def ask(probe: Probe, service: Endpoint) -> Outcome:
    """What the service told; a failure is an answer too, and no reason to stop."""
    try:
        return probe.run(service)
    except Exception as error:
        return Outcome(f"failed: {type(error).__name__}", {}, ())


def keep(folder: Path, name: str, outcome: Outcome, service: Endpoint) -> None:
    """Write a session's frames, in the form of a recording."""
    if not outcome.frames:
        return
    lines = [head_line(outcome.query)]
    lines += [frame.line(keeps_audio=False) for frame in outcome.frames]
    text = "\n".join(lines).replace(service.key, "(key)")
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    (folder / f"{slug}.jsonl").write_text(text + "\n")


def row(probe: Probe, here: str, there: str, agree: bool) -> str:
    """A line of the table."""
    cells = (probe.name, probe.source, probe.documented, here, there)
    text = " | ".join(cell.replace("|", "\\|") for cell in cells)
    return f"| {text} | {'agree' if agree else '**differ**'} |\n"


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        try:
            sys.exit(main())
        except ConfigurationError as error:
            sys.exit(f"parity: {error}")
