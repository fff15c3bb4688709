// The AudioWorklet: microphone samples in, 100 ms chunks of 16-bit PCM out.

import { Chunker } from './chunks.js';

class AudioProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    // Every platform that runs a browser is little-endian, as pcm_s16le asks for.
    const chunker = new Chunker(sampleRate, (chunk) => {
      this.port.postMessage(chunk, [chunk.buffer]);
    });
    this.port.onmessage = ({ data }) => {
      if (data !== 'flush') return;
      chunker.flush();
      this.port.postMessage('flushed');
    };
    this.chunker = chunker;
  }

  process([input]) {
    // No channel: nothing is connected at the moment.
    if (input.length > 0) this.chunker.push(input[0]);
    return true;
  }
}

registerProcessor('audio-processor', AudioProcessor);
