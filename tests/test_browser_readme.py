"""The README's lines for a page of one's own, in Chromium."""

from tempkit import Clip
from tests import test_browser
from tests.test_browser import visited
from tests.test_readme import block

scripted, server = test_browser.scripted, test_browser.server

STREAM = """async (samples) => {
  SCRIPT
  const words = new Promise((resolve) => {
    socket.onmessage = ({ data }) => {
      const { type, transcript } = JSON.parse(data);
      if (type === 'Turn' && transcript) resolve(transcript);
    };
  });
  await new Promise((resolve) => (socket.onopen = resolve));
  for (let at = 0; at < samples.length; at += 1600) {
    socket.send(new Int16Array(samples.slice(at, at + 1600)));
  }
  socket.send('{"type": "Terminate"}');
  return words;
}"""


def test_a_page_of_ones_own_streams_with_a_token(browser, server):
    pcm = memoryview(Clip.sample().first(3).pcm).cast("h").tolist()
    with visited(browser, server.url) as page:
        heard = page.evaluate(STREAM.replace("SCRIPT", block("js", "fetch")), pcm)
    assert heard.lower().startswith("hello")
