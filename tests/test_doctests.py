"""The examples in the docstrings run, and say what they say."""

import doctest
import importlib
import pkgutil

import pytest

import sercore

MODULES = [module.name for module in pkgutil.walk_packages(sercore.__path__, "sercore.") if "__main__" not in module.name]


def examples(name):
    module = importlib.import_module(name)
    return [test for test in doctest.DocTestFinder(exclude_empty=True).find(module) if test.examples]


@pytest.mark.parametrize(
    "name", ["sercore", *(name for name in MODULES if ">>>" in (importlib.util.find_spec(name).loader.get_source(name)))]
)
def test_examples(name):
    found = examples(name)
    assert found
    for test in found:
        failed, _ = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test)
        assert not failed, f"{test.name}: its example says something else"
