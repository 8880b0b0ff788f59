"""The limits and times of a client."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise
from typing import Any

import pytest

from bayeux.client.settings import ClientSettings


@pytest.mark.parametrize("name", [field.name for field in fields(ClientSettings)])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), "5", None, True])
def test_only_positive_numbers_make_sense(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        ClientSettings(**{name: value})


def test_what_is_counted_is_whole() -> None:
    with pytest.raises(ValueError, match="whole"):
        ClientSettings(max_batch=1.5)  # type: ignore[arg-type]  # that is the point
    assert ClientSettings(network_delay=1).network_delay == 1
    assert ClientSettings(network_delay=0.5, max_batch=7).max_batch == 7


def test_every_setting_is_documented() -> None:
    import ast
    import inspect

    from bayeux.client import settings

    module = ast.parse(inspect.getsource(settings))
    [body] = [node.body for node in module.body if isinstance(node, ast.ClassDef)]
    for node, after in pairwise(body):
        if isinstance(node, ast.AnnAssign):
            assert isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant), ast.unparse(node)
