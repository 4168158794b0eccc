"""The file of a model: the same in another process, and nothing of a foreign one is run."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io

from jobs.errors import ModelError
from jobs.models import archive
from jobs.models.cross_validation import fit_rows
from jobs.models.estimators import ESTIMATORS
from jobs.models.model import Model, ModelMetadata, read_model
from tests.docs.markdown import TOP
from tests.jobs.models.tables import COLUMNS, SPEC, clusters, dataset_of, make_table
from tests.support.quick import slow_but


def model_of(estimator: str, place: Path, labels: str = "abc") -> tuple[Model, np.ndarray]:
    """Return a model, and rows to predict."""
    dataset = dataset_of(make_table(place, clusters(8, labels)))
    pipeline = fit_rows(dataset, np.arange(len(dataset)), estimator, 0).pipeline
    metadata = ModelMetadata(
        estimator,
        seed=0,
        classes=list(labels),
        columns=COLUMNS,
        spec=SPEC.to_dict(),
        fingerprint=SPEC.fingerprint,
        featurelib="0",
        data={},
        scores={},
    )
    rows = np.random.default_rng(0).normal(0, 5, (50, len(COLUMNS))).astype(np.float32)
    rows[3, 1] = np.nan
    return Model(pipeline, metadata), rows


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    """Give the bytes of a model by its estimator."""
    known: dict[str, bytes] = {}

    def make(estimator: str) -> bytes:
        if estimator not in known:
            place = tmp_path_factory.mktemp("model")
            known[estimator] = model_of(estimator, place)[0].to_bytes()
        return known[estimator]

    return make


_READ = """
import sys
import numpy as np
from jobs.models.model import read_model

rows = np.load("rows.npy")
for name in sys.argv[1:]:
    model, notes = read_model(name, {})
    assert notes == [], notes
    np.save(f"{name}.npy", model.probabilities(rows))
"""


@pytest.mark.parametrize("labels", slow_but(["abc"], ["ab", "abc"]))
def test_another_process_gives_the_same(tmp_path: Path, labels: str) -> None:
    wanted = {}
    for name in ESTIMATORS:
        model, rows = model_of(name, tmp_path / "of" / name, labels)
        (tmp_path / name).write_bytes(model.to_bytes())
        wanted[name] = model.probabilities(rows)
        np.save(tmp_path / "rows.npy", rows)
    line = [sys.executable, "-c", _READ, *wanted]
    subprocess.run(line, check=True, cwd=tmp_path, env={"PYTHONPATH": str(TOP)})
    for name, values in wanted.items():
        assert values.shape == (50, len(labels))
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), values, rtol=0, atol=1e-6)


def test_skops_reads_the_pipeline_too(made: Callable[[str], bytes]) -> None:
    pipeline = skops.io.loads(made("logistic"), trusted=["numpy.dtype"])
    assert pipeline.predict_proba(np.zeros((1, len(COLUMNS)), np.float32)).shape == (1, 3)


def refused(data: bytes) -> str:
    with pytest.raises(ModelError) as caught:
        Model.from_bytes(data, "x.model")
    text = str(caught.value)
    assert text.startswith("x.model ")
    assert "\n" not in text
    return text


class Evil:
    """A pickle that runs a command."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (open, (str(self.marker), "w"))


def test_other_files_are_refused(made: Callable[[str], bytes], tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    for data in (b"", b"text", pickle.dumps(Evil(marker)), b"PK\5\6" + bytes(18)):
        assert "is no model of featurelib, or is damaged" in refused(data)
    assert not marker.exists()
    assert "it has no featurelib.json" in refused(skops.io.dumps({"a": 1}))


def test_damage_is_detected(made: Callable[[str], bytes]) -> None:
    whole = made("mlp")
    for n in (10, len(whole) // 2, len(whole) - 1):
        refused(whole[:n])
    random = np.random.default_rng(0)
    for place in random.integers(0, len(whole), 40):
        broken = bytearray(whole)
        broken[place] ^= 0x55
        try:
            Model.from_bytes(bytes(broken), "x.model")
        except ModelError:
            continue
        # a byte that says nothing, such as a date in a header
        members = [zipfile.ZipFile(io.BytesIO(data)) for data in (whole, bytes(broken))]
        one, two = ({name: zip_.read(name) for name in zip_.namelist()} for zip_ in members)
        assert one == two


def changed(
    data: bytes, change: Callable[[dict[str, Any]], None], *, compression: int = zipfile.ZIP_STORED
) -> bytes:
    """Return a model with changed members, and a digest that is right again."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        members: dict[str, Any] = {name: old.read(name) for name in old.namelist()}
    del members[archive.DIGEST]
    for name in ("schema.json", archive.METADATA):
        members[name] = json.loads(members[name])
    change(members)
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", compression) as new:
        for name, content in members.items():
            new.writestr(name, content if isinstance(content, bytes) else json.dumps(content))
        new.writestr(archive.DIGEST, archive._digest(new))
    return sink.getvalue()


def nodes(schema: dict[str, Any], loader: str, name: str = "") -> Iterator[dict[str, Any]]:
    found = archive._nodes(schema)
    return (n for n in found if n["__loader__"] == loader and n["__class__"].endswith(name))


def test_a_right_digest_alone_is_read(made: Callable[[str], bytes]) -> None:
    model, notes = Model.from_bytes(changed(made("mlp"), lambda members: None), "x.model")
    assert model.metadata.classes == ["a", "b", "c"]
    assert notes == []


@pytest.mark.parametrize(
    ("loader", "module", "name"),
    [
        ("ObjectNode", "evil_module", "Evil"),
        ("FunctionNode", "evil_module", "run"),
        ("FunctionNode", "numpy", "load"),
        ("MethodNode", "sklearn.pipeline", "Pipeline"),
        ("PartialNode", "functools", "partial"),
        ("OperatorFuncNode", "operator", "methodcaller"),
        ("ConstructorFromReduceNode", "evil_module", "Evil"),
        ("TypeNode", "evil_module", "Evil"),
        ("ObjectNode", "sklearn.compose._column_transformer", "ColumnTransformer"),
        ("RandomGeneratorNode", "numpy.random._generator", "Generator"),
        ("TypeNode", "builtins", "bytearray"),
    ],
)
def test_foreign_types_are_refused_and_not_imported(
    made: Callable[[str], bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    loader: str,
    module: str,
    name: str,
) -> None:
    marker = tmp_path / "ran"
    (tmp_path / "evil_module.py").write_text(f"open({str(marker)!r}, 'w')\nclass Evil: pass\n")
    monkeypatch.syspath_prepend(tmp_path)

    def plant(members: dict[str, Any]) -> None:
        step = next(nodes(members["schema.json"], "ObjectNode", "SimpleImputer"))
        step["content"]["content"]["planted"] = {
            "__loader__": loader,
            "__module__": module,
            "__class__": name,
            "content": {},
        }

    text = refused(changed(made("logistic"), plant))
    assert f"has a {module}.{name} ({loader})" in text
    assert "may run foreign code" in text
    assert not marker.exists()
    assert "evil_module" not in sys.modules


def test_a_compressed_file_is_not_unpacked(made: Callable[[str], bytes]) -> None:
    def bomb(members: dict[str, Any]) -> None:
        members["zeros.npy"] = bytes(50_000_000)

    data = changed(made("logistic"), bomb, compression=zipfile.ZIP_DEFLATED)
    assert len(data) < 500_000
    assert "it is compressed" in refused(data)


def array(members: dict[str, Any], node: dict[str, Any], change: Callable[[Any], Any]) -> None:
    """Change an array of a node."""
    members[node["file"]] = saved(change(np.load(io.BytesIO(members[node["file"]]))))


def saved(values: Any) -> bytes:
    """Return the bytes of an array's file."""
    sink = io.BytesIO()
    np.save(sink, values)
    return sink.getvalue()


def _set(name: str, place: int, value: int) -> Callable[[Any], Any]:
    def change(values: Any) -> Any:
        values[name][place] = value
        return values

    return change


@pytest.mark.parametrize(
    ("field", "value"), [("left_child", 10**9), ("right_child", 0), ("feature", 10**6)]
)
def test_trees_with_wrong_branches_are_refused(
    made: Callable[[str], bytes], field: str, value: int
) -> None:
    def change(members: dict[str, Any]) -> None:
        tree = next(nodes(members["schema.json"], "TreeNode"))
        array(members, tree["content"]["content"]["nodes"], _set(field, 0, value))

    assert "ValueError: a" in refused(changed(made("extra-trees"), change))


@pytest.mark.parametrize("place", [0, 2])
def test_trees_of_a_wrong_size_are_refused(made: Callable[[str], bytes], place: int) -> None:
    """The numbers of features and of outputs, with which the tree is made."""

    def change(members: dict[str, Any]) -> None:
        tree = next(nodes(members["schema.json"], "TreeNode"))
        tree["__reduce__"]["args"]["content"][place]["content"] = "100000"

    assert "the size of a tree is wrong" in refused(changed(made("extra-trees"), change))


@pytest.mark.parametrize("place", [0, 2])
def test_sizes_of_trees_cannot_hide_in_other_nodes(
    made: Callable[[str], bytes], place: int
) -> None:
    """An array has its value in a file, whatever is written beside it."""

    def change(members: dict[str, Any]) -> None:
        tree = next(nodes(members["schema.json"], "TreeNode"))
        arguments = tree["__reduce__"]["args"]["content"]
        members["large.npy"] = saved(np.array(10**9))
        arguments[place] = {**arguments[1], "file": "large.npy", **arguments[place]}
        arguments[place] |= {"__loader__": "NdArrayNode", "type": "numpy"}
        arguments[place] |= {"__module__": "numpy", "__class__": "ndarray"}

    assert "the size of a tree is of another kind" in refused(changed(made("extra-trees"), change))


def test_trees_that_are_none_are_refused(made: Callable[[str], bytes]) -> None:
    """A pipeline with a sound tree besides the one that it would use."""

    def change(members: dict[str, Any]) -> None:
        forest = next(nodes(members["schema.json"], "ObjectNode", "ExtraTreesClassifier"))
        pipeline = next(nodes(members["schema.json"], "ObjectNode", "Pipeline"))
        trees = forest["content"]["content"]["estimators_"]["content"]
        planted = json.loads(json.dumps(trees[0]))
        steps = json.loads(json.dumps(pipeline["content"]["content"]["steps"]))
        steps["content"] = steps["content"][:1]
        steps["content"][0]["content"][1] = trees[0]
        planted |= {"__module__": pipeline["__module__"], "__class__": pipeline["__class__"]}
        planted["content"]["content"]["steps"] = steps
        names = planted["content"]["key_types"]["content"]
        names.append(names[0])
        trees[0] = planted

    assert "a tree is no tree" in refused(changed(made("extra-trees"), change))


def test_a_forest_without_trees_is_refused(made: Callable[[str], bytes]) -> None:
    def change(members: dict[str, Any]) -> None:
        forest = next(nodes(members["schema.json"], "ObjectNode", "ExtraTreesClassifier"))
        forest["content"]["content"]["estimators_"]["content"] = []

    assert "it has no trees" in refused(changed(made("extra-trees"), change))


def test_layers_without_weights_take_no_memory(made: Callable[[str], bytes]) -> None:
    """Arrays without numbers may have any shape, and their products are large."""

    def change(members: dict[str, Any]) -> None:
        network = next(nodes(members["schema.json"], "ObjectNode", "MLPClassifier"))
        values = network["content"]["content"]
        shapes = [(len(COLUMNS), 0), (0, 10**12), (10**12, 0), (0, 3)]
        for node, shape in zip(values["coefs_"]["content"], shapes, strict=True):
            members[node["file"]] = saved(np.zeros(shape))
        for node in values["intercepts_"]["content"]:
            members[node["file"]] = saved(np.zeros(1))

    assert "the sizes of the layers are wrong" in refused(changed(made("mlp"), change))


def test_a_node_stands_for_itself_only(made: Callable[[str], bytes]) -> None:
    """Of nodes with the same id, skops would read the first one instead of the others."""

    def change(members: dict[str, Any]) -> None:
        step = next(nodes(members["schema.json"], "ObjectNode", "SimpleImputer"))
        other = step["content"]["content"]["fill_value"]
        assert other["content"] == "0.0"
        first = next(nodes(members["schema.json"], "ObjectNode", "Pipeline"))
        first["content"]["content"] = {
            "planted": {**other, "content": "1e9", "__id__": 77},
            **first["content"]["content"],
        }
        other["__id__"] = 77

    model, _ = Model.from_bytes(changed(made("logistic"), change), "x.model")
    assert model.pipeline[1].fill_value == 0.0


@pytest.mark.parametrize(
    ("field", "value"), [("left", 10**6), ("right", 0), ("feature_idx", 10**6)]
)
def test_boosted_trees_with_wrong_branches_are_refused(
    made: Callable[[str], bytes], field: str, value: int
) -> None:
    def change(members: dict[str, Any]) -> None:
        for tree in nodes(members["schema.json"], "ObjectNode", "TreePredictor"):
            array(members, tree["content"]["content"]["nodes"], _set(field, 0, value))

    assert "ValueError: a" in refused(changed(made("gradient-boosting"), change))


@pytest.mark.parametrize("name", ["_intercept_", "_dual_coef_", "_n_support", "support_vectors_"])
def test_machines_of_a_wrong_size_are_refused(made: Callable[[str], bytes], name: str) -> None:
    def change(members: dict[str, Any]) -> None:
        machines = nodes(members["schema.json"], "ObjectNode", "SVC")
        machine = next(one for one in machines if one["__class__"] == "SVC")
        array(members, machine["content"]["content"][name], lambda values: values[:-1])

    assert "the sizes of the support vector machine" in refused(changed(made("svm"), change))


def test_a_model_that_gives_other_probabilities_is_refused(made: Callable[[str], bytes]) -> None:
    def change(members: dict[str, Any]) -> None:
        members[archive.METADATA]["probes"][0][0] += 1e-3
        members[archive.METADATA]["versions"]["scikit-learn"] = "1.0"

    text = refused(changed(made("logistic"), change))
    assert "does not give the probabilities here" in text
    assert "made with scikit-learn 1.0 (here" in text


def test_other_versions_that_give_the_same_are_said(made: Callable[[str], bytes]) -> None:
    def change(members: dict[str, Any]) -> None:
        members[archive.METADATA]["versions"]["skops"] = "0.1"

    _, [note] = Model.from_bytes(changed(made("logistic"), change), "x.model")
    assert note.startswith("the model was made with skops 0.1 (here ")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", 2),
        ("classes", ["a"]),
        ("classes", ["a", "a", "b"]),
        ("classes", ["a", "b", "\ud800"]),
        ("classes", ["a", "b"]),
        ("columns", [1]),
        ("columns", COLUMNS[:-1]),
        ("spec", "x"),
        ("unknown", 1),
    ],
)
def test_wrong_metadata_are_refused(made: Callable[[str], bytes], key: str, value: Any) -> None:
    def change(members: dict[str, Any]) -> None:
        members[archive.METADATA][key] = value

    refused(changed(made("logistic"), change))


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read .*nothing.model: No such file"):
        read_model(str(tmp_path / "nothing.model"), {})
    for place in (str(tmp_path), f"{tmp_path}/"):
        with pytest.raises(ModelError, match="is a folder: give the file"):
            read_model(place, {})
