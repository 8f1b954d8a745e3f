"""Damaged files of every kind: a valid series or one line, never a traceback, a hang or a full memory.

A short run with a fixed seed; ``tools/fuzz.py`` reads as many as wanted.
"""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import numpy as np
import pytest

from helpers.fuzzing import make_input
from helpers.fuzzing_children import PATIENCE, VIOLATION, Reader
from helpers.fuzzing_fixtures import FAMILIES, Fixture, make_fixtures
from helpers.fuzzing_run import lay_out, run
from helpers.places import SHARED_DATA
from napari_stinr.io.formats.registry import READERS

INPUTS = 500

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="time and memory are measured in a forked process")


@pytest.fixture(scope="module")
def fixtures(tmp_path_factory: pytest.TempPathFactory) -> list[Fixture]:
    return make_fixtures(tmp_path_factory.mktemp("valid"))


def test_every_reader_has_something_to_be_damaged(fixtures):
    pytest.importorskip("rsciio", reason="the optional readers (extra formats) are not installed")
    endings = {Path(name).suffix for one in fixtures if one.format != "real" for name in one.files}
    assert {READERS[ending] for ending in endings & READERS.keys()} == set(READERS.values())


def test_what_is_damaged_was_valid(fixtures, tmp_path):
    with Reader() as reader:
        for number, fixture in enumerate(fixtures):
            outcome = reader.read(lay_out(fixture, tmp_path / str(number)), fixture.how)
            assert outcome.kind == "valid", f"{fixture.format}, {fixture.name}: {outcome.text}"


def test_damaged_files_do_no_harm(fixtures, tmp_path, capsys):
    report = run(fixtures, tmp_path, inputs=INPUTS, seed=20_240_601)
    n_inputs = sum(tally.inputs for tally in report.tallies.values())
    with capsys.disabled():
        print(f"\n{n_inputs} damaged files in {report.seconds:.1f} s\n{report.table()}")
    assert not report.violations, "\n".join(
        f"input {number} ({fixture.format}, {fixture.name}): {text}" for number, fixture, text in report.violations
    )
    assert n_inputs == INPUTS >= len(fixtures), "not even one input of every kind"
    refused, valid = (sum(getattr(t, what) for t in report.tallies.values()) for what in ("refused", "valid"))
    # Damage that is always noticed tests only the first check, damage that never is tests none.
    assert 0.1 < valid / (valid + refused) < 0.9


def test_the_same_seed_gives_the_same_inputs(fixtures):
    for number in range(0, 300, 7):
        first, again = make_input(fixtures, number, 5), make_input(fixtures, number, 5)
        assert first[1:] == again[1:]
    damaged = [make_input(fixtures, number, 5) for number in range(300)]
    changed = [content != fixture.files[name] for fixture, name, content in damaged]
    assert np.mean(changed) > 0.95


def test_every_family_of_formats_takes_part(fixtures):
    found = {fixture.format for fixture in fixtures}
    assert len(found) >= len(FAMILIES) - (not SHARED_DATA.is_dir()) - (importlib.util.find_spec("rsciio") is None)


# The reader of MRC files runs what is in them: nothing that is meant to be read does harm any more.
HARMFUL_READER = """
import time
import napari_stinr.io.formats.registry as stacks
from napari_stinr.errors import StinrError
def read(path):
    exec(compile(path.read_text(), 'napari_stinr', 'exec'), {'start': time.process_time(), 'StinrError': StinrError})
    raise StinrError('a', expected='b', cure='c')
stacks.READERS['.mrc'] = read
"""
HARMS = {
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "import os; os.abort()": "signal 6",
    "import time; time.sleep(60)": "hangs",
    "import time\nwhile time.process_time() < start + 2.1: pass": "takes|hangs",
    "bytearray(b'1') * 400_000_000": "MB",
    "import numpy; numpy.ones(10**11)": "more memory than there was",
    "import warnings; warnings.warn('overflow')": "overflow",
    "class Own(StinrError):\n def __str__(self): return 'a\\nb'\nraise Own('a', expected='b', cure='c')": "printable",
}


def test_harm_is_noticed(tmp_path):
    with Reader(before=HARMFUL_READER) as reader:
        for number, (harm, word) in enumerate(HARMS.items()):
            path = tmp_path / f"{number}.mrc"
            path.write_text(harm)
            reader.patience = 1.0 if "sleep" in harm else PATIENCE
            outcome = reader.read([path])
            reader.patience = PATIENCE
            assert outcome.kind == VIOLATION, harm
            assert re.search(word, outcome.text), harm
            # The next input is read as if nothing had been.
            path.write_text("")
            assert reader.read([path]).kind == "refused"
