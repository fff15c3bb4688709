import ast
import inspect
from pathlib import Path

import pytest

import tempkit
from tempkit import TempkitError
from tempkit.messages import CloseCode


def test_the_public_surface_is_what_it_is():
    assert tempkit.__all__ == sorted(tempkit.__all__, key=lambda n: (n[0].islower(), n))
    assert len(tempkit.__all__) <= 29
    for name in tempkit.__all__:
        assert getattr(tempkit, name)


def test_every_public_name_says_what_one_gets():
    for name in tempkit.__all__:
        thing = getattr(tempkit, name)
        assert inspect.getdoc(thing), name
        if inspect.isclass(thing):
            for inner, member in vars(thing).items():
                if not inner.startswith("_") and callable(member):
                    assert inspect.getdoc(getattr(thing, inner)), f"{name}.{inner}"


def test_every_error_of_ours_has_one_root():
    errors = [getattr(tempkit, n) for n in tempkit.__all__]
    errors = [e for e in errors if inspect.isclass(e) and issubclass(e, Exception)]
    assert len(errors) == 7
    assert all(issubclass(error, TempkitError) for error in errors)


def test_close_codes_are_numbers():
    assert CloseCode.EXPIRED == 3008
    assert f"{CloseCode.EXPIRED:d}" == "3008"


def test_what_type_checkers_see_is_what_programs_get():
    tree = ast.parse(Path(tempkit.__file__).read_text())
    seen = {
        str(node.module).removeprefix("tempkit."): {alias.name for alias in node.names}
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("tempkit.")
    }
    assert seen == {module: set(names) for module, names in tempkit._HOMES.items()}
    assert set().union(*seen.values()) == set(tempkit.__all__)
    assert set(tempkit.__all__) <= set(dir(tempkit))
    with pytest.raises(AttributeError, match="no attribute 'Token'"):
        tempkit.Token  # noqa: B018
