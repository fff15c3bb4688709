"""Everything tempkit raises on purpose.

TempkitError
├── ConfigurationError   no key, unreadable .env, unsafe bind, no proxy address (before any network)
├── AudioError           not audio, or audio that cannot be read
├── ServiceUnreachable   no answer: name, refused, timeout, proxy, certificate (see __cause__)
├── TokenRefused         .status .detail
├── SessionClosed        .code .reason .advice   it ended before all text had arrived
└── ProtocolError        the other side said something v3 does not allow

An invalid argument raises a ValueError that names the range, or a TypeError that says what was
expected.
"""

import re
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from importlib import import_module
from numbers import Real
from os import PathLike
from typing import Any

INSTALL = "pip install"
KINDS: dict[type | None, str] = {
    None: "None",
    bool: "True or False",
    int: "a whole number",
    Real: "a number",
    str: "a string",
    bytes: "bytes",
    bytearray: "bytes",
    PathLike: "a path",
    set: "a set",
    frozenset: "a set",
}
LONG = 90  # characters: more is more than a line of a notebook
WHOLE = ("Plain", "Verbose")  # modes of IPython's %tb and %xmode


class _Brief(Exception):
    """An error of which a notebook shows the text, which says what to do, and not how it came.

    ``%tb Plain`` shows that too, ``%xmode Plain`` does from then on, and ``%debug`` goes there.
    """

    def _render_traceback_(self) -> list[str]:
        """What IPython shows; the whole of it is plain Python's, which shows no variables."""
        ipython = sys.modules.get("IPython")
        shell = ipython.get_ipython() if ipython else None
        if shell and shell.InteractiveTB.mode in WHOLE:
            return "".join(traceback.format_exception(self)).splitlines()
        own = (each for each in (ValueError, TypeError) if isinstance(self, each))
        name, text = next(own, type(self)).__name__, str(self)
        if len(text) > LONG:  # the advice stands on a line of its own
            text = text.replace("; ", ";\n")
        return [f"\x1b[31m{name}\x1b[0m: {text}", "(%tb Plain shows where it was raised)"]


class TempkitError(_Brief):
    """The base of every error that tempkit raises on purpose."""


class BadValue(_Brief, ValueError):
    """An argument out of range; catch it with ``except ValueError``."""


class BadType(_Brief, TypeError):
    """An argument of the wrong kind; catch it with ``except TypeError``."""


class ConfigurationError(TempkitError):
    """Something has to be set up first; the text says what and where."""


class AudioError(TempkitError):
    """A file is not audio, or cannot be read; the text says what it is."""


class ServiceUnreachable(TempkitError):
    """The streaming service did not answer; ``__cause__`` is the network library's error.

    ``may_pass`` means that it answered a moment ago, so it makes sense to try again soon.
    """

    def __init__(self, text: str, *, may_pass: bool = False) -> None:
        super().__init__(text)
        self.may_pass = may_pass


class TokenRefused(TempkitError):
    """The service answered a token request with an error.

    ``status`` is the HTTP status, ``detail`` the service's own words.
    """

    def __init__(self, status: int, detail: str, advice: str) -> None:
        super().__init__(f"token refused with HTTP {status}: {detail}; {advice}")
        self.status = status
        self.detail = detail


class SessionClosed(TempkitError):
    """A streaming session could not be opened, or ended before all text had arrived.

    ``code`` is the WebSocket close code, ``reason`` the text of the service's Error message,
    ``advice`` what to do about it. ``transcript`` is the text that was final by then, and
    ``seconds_not_transcribed`` how much audio after it has no text.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        advice: str,
        *,
        transcript: str = "",
        seconds_not_transcribed: float = 0.0,
    ) -> None:
        lost = seconds_not_transcribed
        missing = f" ({lost:.1f} s of audio without final text)" if lost else ""
        text = f"session closed {code}: {reason or 'no reason given'}{missing}; {advice}"
        super().__init__(text)
        self.code = code
        self.reason = reason
        self.advice = advice
        self.transcript = transcript
        self.seconds_not_transcribed = seconds_not_transcribed


class ProtocolError(TempkitError):
    """The other side said something that the v3 protocol does not allow."""


def expect(name: str, value: object, *kinds: type | None, advice: str = "") -> None:
    """Raises TypeError, which says what was expected, unless ``value`` is of one of the kinds.

    What was given is not shown: it may be a key. True is no whole number here.
    """
    for kind in kinds:
        fits = value is None if kind is None else isinstance(value, kind)
        if fits and (kind is bool or not isinstance(value, bool)):
            return
    words = (f"a {k.__name__}" if k is not None and k not in KINDS else KINDS[k] for k in kinds)
    wanted, given = " or ".join(dict.fromkeys(words)), type(value).__name__
    raise BadType(f"{name} takes {wanted}, not {given}{'; ' if advice else ''}{advice}")


def unfailing(show: Callable[[Any], str]) -> Callable[[Any], str]:
    """A ``__repr__`` that raises nothing: one asks for it when something has failed already."""

    @wraps(show)
    def show_or_name(self: object) -> str:
        try:
            return show(self)
        except Exception:
            return f"<{type(self).__name__}, not ready>"

    return show_or_name


def defect(error: Exception) -> str:
    """Kind and place of an error that nobody foresaw: its text may hold anything, a header too."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {place.filename}:{place.lineno}"


def require(module: str, extra: str, what: str = "this") -> None:
    """Import a module of an extra, for the ordinary import statement that follows.

    Raises ConfigurationError that says how to install it, or why it cannot be loaded.
    """
    try:
        import_module(module)
    except (ImportError, OSError) as error:
        name = getattr(error, "name", None) or module
        if isinstance(error, ModuleNotFoundError) and "." not in name:
            raise missing(name, extra, what) from None
        # A package without all of its parts, or a shared library that is missing or too old.
        reason = " ".join(str(error.__cause__ or error).split())
        text = f"{what} needs {module}, which cannot be loaded: {reason}"
        raise ConfigurationError(text) from error


def missing(
    module: str, extra: str, what: str = "this", *, project: str = __package__
) -> ConfigurationError:
    """The error for a module that is not installed; ``what`` is the part that needs it.

    It says what the extra consists of: on an index our name may be that of another project.
    """
    from importlib.metadata import PackageNotFoundError, requires  # slow, and for this alone

    needed: list[str] = []
    with suppress(PackageNotFoundError):  # nobody installed it: the folder alone is here
        for line in requires(project) or ():
            name, _, marker = line.partition(";")
            if marker.replace('"', "'").strip() == f"extra == '{extra}'":
                needed.append(f'"{name}"' if re.search("[<>!]", name) else name)
    text = f"{what} needs {module}; install it: {INSTALL} {' '.join(needed) or module}"
    return ConfigurationError(text)
