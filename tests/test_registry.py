"""Registries that import what is looked up, and packages that import what is asked for."""

import subprocess
import sys

import pytest
from secateur import searchers
from secateur.pruners import PRUNERS
from secateur.pruners.importance import IMPORTANCES
from secateur.registry import Place, Registry
from secateur.searchers import SEARCHERS, LocalSearch


@pytest.mark.parametrize("registry", [PRUNERS, IMPORTANCES, SEARCHERS], ids=["pruners", "importances", "searchers"])
def test_every_place_is_there(registry):
    assert len(registry) == len(list(registry)) == len(registry.values()) > 5
    assert all(callable(value) for value in registry.values())


def test_names_are_listed_without_an_import():
    script = "import sys; from secateur import PRUNERS; list(PRUNERS); 'kcm' in PRUNERS; print('torch' in sys.modules)"
    script += "; PRUNERS['kcm']; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_a_place_with_options_makes_the_class_with_these():
    made = SEARCHERS["local_step"]
    assert (made.func, made.keywords) == (LocalSearch, {"neighbourhood": "step"})
    assert PRUNERS["rank_fisher"].args == ("fisher",)


def test_users_add_and_remove_entries():
    registry = Registry({"a": Place("nowhere:Nothing"), "b": 2})
    registry["c"] = 3
    del registry["a"]
    assert dict(registry) == {"b": 2, "c": 3}
    assert "a" not in registry
    with pytest.raises(KeyError):
        registry["a"]


def test_a_package_has_no_other_names():
    with pytest.raises(AttributeError, match=r"module 'secateur.searchers' has no attribute 'Nothing'"):
        searchers.Nothing  # noqa: B018
