"""Places: folders that stand beside the package in a checkout and travel inside it in a wheel."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """The folder of that name, in the package when it is nowhere."""
    inside, beside = PACKAGE / name, PACKAGE.parent / name
    return beside if beside.is_dir() and not inside.is_dir() else inside


PUBLIC = folder("public")
