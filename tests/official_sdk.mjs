// The official JavaScript SDK, unmodified, against the sandbox: a token, then a file, then the turns
// as JSON on standard output.
import { readFileSync } from "node:fs";
import { AssemblyAI } from "assemblyai";

const { SANDBOX_URL, SAMPLE } = process.env;
const client = new AssemblyAI({ apiKey: "sandbox", streamingBaseUrl: SANDBOX_URL });
const token = await client.streaming.createTemporaryToken({ expires_in_seconds: 60 });
const transcriber = client.streaming.transcriber({
  websocketBaseUrl: `${SANDBOX_URL.replace("https", "wss")}/v3/ws`,
  token,
  sampleRate: 16000,
  speechModel: "universal-streaming-english",
  formatTurns: true,
  connectTimeout: 10_000,
});
const turns = {};
transcriber.on("turn", (turn) => {
  if (turn.end_of_turn) turns[turn.turn_order] = turn.transcript;
});
transcriber.on("error", (error) => {
  throw error;
});
const begin = await transcriber.connect();
const audio = readFileSync(SAMPLE).subarray(44);
for (let at = 0; at < audio.length; at += 3200) transcriber.sendAudio(audio.subarray(at, at + 3200));
await transcriber.close(true, 60_000);
console.log(JSON.stringify({ id: begin.id, turns: Object.values(turns) }));
