"""Fingerprints in later versions: another process changes featurelib's source code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import featurelib
from featurelib import FeatureSpec, families
from featurelib.graph import canonical
from tests.featurelib.support.specs import entries_of
from tests.support.quick import slow_but

README = Path(__file__).parents[3] / "README.md"

_CHILD = """
import importlib, importlib.util, json, sys, tomllib

module, old, new = json.loads(sys.argv[1])
found = importlib.util.find_spec(module)
source = open(found.origin).read()
if old:
    assert source.count(old) >= 1, old
    source = source.replace(old, new, 1)

class Loader:
    def create_module(self, spec):
        return None

    def exec_module(self, loaded):
        exec(compile(source, found.origin, "exec"), loaded.__dict__)

class Finder:
    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_loader(name, Loader()) if name == module else None

for name in [name for name in sys.modules if name.partition(".")[0] == "featurelib"]:
    del sys.modules[name]
sys.meta_path.insert(0, Finder())

import featurelib

specs = {name: spec for name, spec in featurelib.PRESETS.items()}
for name, table in json.loads(sys.stdin.read()).items():
    specs[name] = featurelib.spec_from_settings(table)
print(json.dumps({name: [spec.fingerprint, spec.to_dict()] for name, spec in specs.items()}))
"""


def samples() -> dict[str, dict]:
    """Specs of the README's settings files, and one spec per family."""
    import tomllib

    blocks = re.findall(r"```toml\n(.*?)```", README.read_text(), flags=re.DOTALL)
    tables = {f"README {i}": tomllib.loads(block)["spec"] for i, block in enumerate(blocks)}
    tables = {name: table for name, table in tables.items() if "import" not in table}
    assert len(tables) >= 3
    for family in families():
        statistics = [] if families()[family].is_single is True else ["mean"]
        tables[family] = {"features": entries_of(family, statistics=statistics)}
    return tables


def in_a_later_version(module: str, old: str = "", new: str = "") -> dict[str, tuple[str, dict]]:
    """Fingerprint and dictionary of each spec, with a changed source of one module."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, json.dumps([f"featurelib.{module}", old, new])],
        input=json.dumps(samples()),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def now() -> dict[str, tuple[str, dict]]:
    return in_a_later_version("graph")


#: A parameter that is added to a node; some have the name of another node's parameter.
ADDED = {
    "a new one": (
        "features.mfcc",
        "    n_mfcc: int",
        '    lifter: int = parameter(0, "new", ge=0)\n',
    ),
    "n_mels upstream": (
        "transforms.stft",
        "    window: str",
        '    n_mels: int = parameter(7, "new", ge=1)\n',
    ),
    "fmin upstream": (
        "transforms.stft",
        "    window: str",
        '    fmin: float = parameter(30.0, "new", ge=0)\n',
    ),
    "top_db upstream": (
        "transforms.frames",
        "    n_fft: int = parameter",
        '    top_db: float = parameter(3.0, "new", gt=0)\n',
    ),
    "of statistics": (
        "statistics",
        '    pooled: bool = parameter(False, "all values are one population")\n',
        '    weighted: bool = parameter(False, "new")\n',
    ),
}


@pytest.mark.parametrize("name", slow_but(["a new one", "fmin upstream"], ADDED))
def test_a_parameter_that_is_added_changes_no_fingerprint(now, name):
    module, before, line = ADDED[name]
    later = in_a_later_version(module, before, line + before)
    assert {key: value[0] for key, value in later.items()} == {k: v[0] for k, v in now.items()}
    # Keywords of a spec still apply to the same nodes.
    for key, (_, values) in now.items():
        for entry, entry_later in zip(values["features"], later[key][1]["features"], strict=True):
            assert entry.items() <= entry_later.items()


#: A raised version, and its class.
RAISED = {
    "MFCC": ("features.mfcc", '    family: ClassVar[str] = "mfcc"\n'),
    "STFT": ("transforms.stft", "    frames: Frames = Frames()\n"),
    "Mel": ("transforms.mel", "    stft: STFT = STFT()\n    n_mels"),
    "PowerSums": ("transforms.stft", '    """Sums of S, k S'),
    "EstimatedTuning": ("transforms.tuning", "    realigns: ClassVar[bool] = True\n"),
    "ZeroCrossingRate": ("features.zero_crossing_rate", '    unit: ClassVar[str] = "1/sample"\n'),
}


@pytest.mark.parametrize("name", slow_but(["Mel", "ZeroCrossingRate"], RAISED))
def test_a_version_that_is_raised_changes_the_specs_that_have_the_node(now, name):
    module, line = RAISED[name]
    raised = f"    version = 2\n{line}"
    later = in_a_later_version(module, line, raised)
    specs = {**featurelib.PRESETS}
    specs |= {key: featurelib.spec_from_settings(table) for key, table in samples().items()}
    changed = {key for key in now if later[key][0] != now[key][0]}
    assert changed == {key for key, spec in specs.items() if has_node(spec, name)}
    assert 0 < len(changed) < len(now)


def has_node(spec: FeatureSpec, name: str) -> bool:
    sinks = (sink for entry in spec.features for sink in entry.sinks())
    return any(f'["{name}", ' in json.dumps(canonical(sink)) for sink in sinks)


def test_the_version_of_the_signal_changes_all(now):
    line = "    version: ClassVar[int] = 1\n\n    def definition"
    later = in_a_later_version("graph", line, line.replace("1", "2"))
    assert all(later[key][0] != now[key][0] for key in now)
