"""What was said: voice activity, turn detection, and the recogniser."""

import os

# From 1.29 on, onnxruntime reports to Microsoft what it runs, with a number for this machine, if
# this is not set before it is loaded (its docs/Privacy.md). What the sandbox does stays here.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
