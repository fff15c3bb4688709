"""The human page of a running sandbox, filled by ``routes``."""

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>tempkit sandbox</title>
<meta name="viewport" content="width=device-width">
<style>body {{ font: 1rem/1.5 system-ui; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }}
pre {{ background: #8881; padding: .6rem; white-space: pre-wrap; overflow-wrap: anywhere }}
:root {{ color-scheme: light dark }}
</style>
<h1>tempkit sandbox</h1>
<p>A stand-in for AssemblyAI's streaming service (v3) on this machine. {keys}.</p>
<p>Open sessions: {sessions}. Faults: {faults}. Journal: {entries} entries.</p>
<h2>Point an SDK at it</h2>
<pre># tempkit
ASSEMBLYAI_BASE_URL={url} ASSEMBLYAI_API_KEY=sandbox

# Python SDK; for its token call: tempkit sandbox --tls, then api_host="{host}"
StreamingClientOptions(api_key="sandbox", api_host="{socket}")

// JavaScript SDK; for its socket: tempkit sandbox --tls
new AssemblyAI({{apiKey: "sandbox", streamingBaseUrl: "{url}"}})
client.streaming.transcriber({{websocketBaseUrl: "{socket}/v3/ws", ...}})

# LiveKit, Pipecat
assemblyai.STT(base_url="{socket}", api_key="sandbox")
AssemblyAISTTService(api_endpoint_base_url="{socket}/v3/ws", api_key="sandbox")</pre>
<h2>Make things go wrong, look, start over</h2>
<pre>curl -X POST '{url}/sandbox/faults?cut_after_received=20&amp;sessions=1'
curl -X POST '{url}/sandbox/faults?close_after_audio_seconds=2.5&amp;close_code=1012'
curl {url}/sandbox/journal
curl -X POST {url}/sandbox/reset</pre>
<p>What goes wrong in a session is named <code>what_after_way</code>, way one of {ways}:</p>
<ul>{whats}</ul>
<p>Besides there are {faults_alone}.</p>
<h2>Limits</h2>
<p>A token opens {uses} within its 1 to 600 s; a session lasts 3 hours at most, or what its token
says (60 s and more); a key has {per_minute} new sessions a minute. An audio message holds 50 to
1000 ms of pcm_s16le or pcm_mulaw, and is heard {pace}. English only.
What else is not emulated is refused or answered with a Warning: see .github/docs/sandbox.md.</p>
"""
