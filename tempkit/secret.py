"""Secret: a string that shows itself nowhere by accident."""


class Secret(str):
    """A string whose repr is masked: tests and debuggers print what a failing frame holds."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"
