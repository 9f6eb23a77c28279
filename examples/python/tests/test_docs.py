"""Every example in the docs runs, and the types that are told are those that are there."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import channelwise
import channelwise.dask

READMES = [Path(__file__).parents[n] / "README.md" for n in (1, 3)]


def documented():
    """All that is public, by name."""
    for module in (channelwise, channelwise.dask):
        yield module.__name__, module
        for name in module.__all__:
            thing = getattr(module, name)
            yield f"{module.__name__}.{name}", thing
            if isinstance(thing, type):
                for part in dir(thing):
                    if not part.startswith("_") and not hasattr(tuple, part):
                        yield f"{module.__name__}.{name}.{part}", getattr(thing, part)


ALL = dict(documented())


@pytest.mark.parametrize("name", ALL)
def test_it_is_told(name):
    text = ALL[name].__doc__ or ""
    # Fields of a named tuple say what they are where it is defined.
    assert len(text) > 15, "it has no words"
    test = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    said = []
    failed, _ = doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert not failed, "".join(said)


def test_there_are_examples():
    modules = (channelwise, channelwise.dask)
    told = {f"{module.__name__}.{name}" for module in modules for name in module.__all__}
    without = [name for name in told if ">>>" not in ALL[name].__doc__]
    # That of this one is the head of its module.
    assert without == ["channelwise.dask.filter2d"]


@pytest.mark.parametrize("readme, count", [(READMES[0], 4), (READMES[1], 1)], ids=["ours", "the crate's"])
def test_the_readme_runs(readme, count, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    assert len(blocks) == count
    names = {}
    for block in blocks:
        exec(compile(block, str(readme), "exec"), names)


def test_types(tmp_path):
    command = [sys.executable, "-m", "mypy.stubtest", "channelwise", "--ignore-missing-stub"]
    environment = {**os.environ, "MYPY_CACHE_DIR": str(tmp_path)}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
