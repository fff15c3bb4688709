// The worker behind clock.js: it says when the time has come.

onmessage = ({ data: { id, milliseconds } }) => setTimeout(() => postMessage(id), milliseconds);
