"""TokenView: a temporary token's life as it runs out."""

import math

from ipywidgets import HTML

import tempkit.pictures as pictures
from tempkit.errors import BadType, unfailing
from tempkit.tokens import TemporaryToken
from tempkit.widgets.cells import close, end_with_cell, shown, tick

TICK_SECONDS = 0.5


class TokenView:
    """How long a temporary token can still be used, and whether it was: ``TokenView(token)``.

    It says whether this process has opened a session with the token and, if the service refused
    it, why. The token itself stays in Python and is in no widget.
    """

    def __init__(self, token: TemporaryToken) -> None:
        if not isinstance(token, TemporaryToken):
            raise BadType("TokenView takes what generate_temp_token() returns, not a string")
        self._token = token
        self.widget = HTML(layout={"width": "auto"})
        self._draw()
        self._end_ticks = tick(self._draw, TICK_SECONDS)
        end_with_cell(self.close)

    def close(self) -> None:
        """Take the view off the page."""
        self._end_ticks()
        close(self.widget)

    def _draw(self) -> bool:
        """Show the state; whether it can still change."""
        token, whole = self._token, self._token.expires_in_seconds
        left = math.ceil(token.seconds_left())  # it is sent once a second, so
        if token.refusal:
            said = pictures.bad(f"refused: {token.refusal}")
        elif token.is_spent:
            said = pictures.muted("spent: it has opened its one session")
        elif left == 0:
            said = pictures.muted(f"expired: its {whole} s are up")
        else:
            said = pictures.muted(f"{left} of {whole} s left to open a session")
        is_over = token.is_spent or left == 0
        colour = pictures.MUTED if is_over or token.refusal else pictures.GOOD
        line = pictures.heading("Temporary token", colour, said)
        bar = pictures.bar(0 if is_over else left / whole, 0 if is_over else left)
        self.widget.value = f'<div style="max-width:32em">{line}{bar}</div>'
        # A session that is being opened may yet be refused: that is seen in its own view.
        return not is_over or (token.is_spent and not token.refusal and left > 0)

    def _repr_mimebundle_(self, **given: object) -> object:
        return shown(self.widget, repr(self), **given)

    @unfailing
    def __repr__(self) -> str:
        return f"<TokenView of {self._token!r}>"
