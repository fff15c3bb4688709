"""Pipecat's AssemblyAI service, as it comes, hears a WAV file: run in an environment of its own.

python pipecat_service.py ws://127.0.0.1:PORT FILE; writes a JSON object to standard output.
"""

import asyncio
import json
import sys
import wave

from loguru import logger
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    TranscriptionFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.assemblyai.stt import AssemblyAISTTService

PIECE = 320  # frames: 20 ms, as a transport has them


class Ears(FrameProcessor):
    """Keeps what was heard and what went wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []
        self.errors: list[str] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame):
            self.heard.append(frame.text)
        if isinstance(frame, ErrorFrame):
            self.errors.append(frame.error)
        await self.push_frame(frame, direction)


async def hear(url: str, path: str) -> Ears:
    ears, before = Ears(), Ears()  # errors go up the pipeline, words go down
    service = AssemblyAISTTService(api_key="any", api_endpoint_base_url=f"{url}/v3/ws")
    with wave.open(path) as sound:
        params = PipelineParams(audio_in_sample_rate=sound.getframerate())
        task = PipelineTask(Pipeline([before, service, ears]), params=params)
        running = asyncio.create_task(PipelineRunner(handle_sigint=False).run(task))
        while data := sound.readframes(PIECE):
            frame = InputAudioRawFrame(data, sound.getframerate(), 1)
            await task.queue_frame(frame)
            await asyncio.sleep(len(data) / 2 / sound.getframerate() / 4)
    # Its own voice activity detection says when the speaker has stopped; an agent that has spoken
    # tells the service what it said.
    await task.queue_frame(VADUserStoppedSpeakingFrame())
    await service.update_agent_context("You are welcome.")
    await asyncio.sleep(1)
    await task.queue_frame(EndFrame())
    await running
    ears.errors += before.errors
    return ears


if __name__ == "__main__":
    complaints: list[str] = []
    logger.remove()
    logger.add(lambda message: complaints.append(str(message)), level="WARNING")
    found = asyncio.run(hear(sys.argv[1], sys.argv[2]))
    print(json.dumps({"heard": found.heard, "complaints": [*complaints, *found.errors]}))
