"""What keys and tokens look like, and whether a notebook shows one."""

import re
from collections.abc import Mapping
from typing import Any

# A key is 32 hexadecimal digits; a sandbox token has a prefix, one of the service begins AQI.
SECRET = re.compile(r"\b[0-9a-f]{32}\b|sandbox-[\w=-]{20,}|\bAQI[\w-]{40,}")
SOUND = re.compile(r"data:audio/wav;base64,[\w+/=]*")  # holds any letters


def check_outputs(notebook: Mapping[str, Any]) -> None:
    """Raises AssertionError when an output of an executed notebook looks like a secret."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            # A widget's own id has the shape of a key, a picture may have any.
            shown = [text for kind, text in output.get("data", {}).items() if kind[:5] == "text/"]
            shown += [output.get("text", ""), output.get("traceback", "")]
            assert not SECRET.search(SOUND.sub("", str(shown))), "a notebook shows a secret"
