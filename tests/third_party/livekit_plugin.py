"""LiveKit's AssemblyAI plugin, as it comes, hears a WAV file: run in an environment of its own.

python livekit_plugin.py ws://127.0.0.1:PORT FILE; writes a JSON object to standard output.
"""

import asyncio
import json
import logging
import sys
import wave

import aiohttp
from livekit import rtc
from livekit.agents import stt
from livekit.plugins import assemblyai

PIECE = 1600  # frames: 100 ms


async def hear(url: str, path: str) -> list[str]:
    finals = []
    async with aiohttp.ClientSession() as session:
        plugin = assemblyai.STT(base_url=url, api_key="any", http_session=session)
        stream = plugin.stream()

        async def send() -> None:
            with wave.open(path) as sound:
                rate = sound.getframerate()
                while data := sound.readframes(PIECE):
                    stream.push_frame(rtc.AudioFrame(data, rate, 1, len(data) // 2))
                    await asyncio.sleep(len(data) / 2 / rate / 4)
            # An agent that speaks tells the plugin what it said.
            stream.update_options(agent_context="You are welcome.")
            stream.end_input()

        sending = asyncio.create_task(send())
        async for event in stream:
            if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
                finals.append(event.alternatives[0].text)
        await sending
    return finals


class Complaints(logging.Handler):
    """What the plugin logs as a warning or worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


if __name__ == "__main__":
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    heard = asyncio.run(hear(sys.argv[1], sys.argv[2]))
    print(json.dumps({"heard": heard, "complaints": complaints.said}))
