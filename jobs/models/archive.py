"""The file of a model: a skops archive with the metadata of featurelib in it.

It is a zip file without compression. ``skops.io`` reads the scikit-learn pipeline from it, and
``featurelib.json`` says what the pipeline is for. ``featurelib.sha256`` is a digest of all other
members.

A model may come from anybody. What is read here is checked before anything is made of it: the
archive has no compression, so that it cannot grow; the digest detects damage; and each type in it
must be one that featurelib's own estimators consist of.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import featurelib.extras
from jobs.errors import ModelError
from jobs.models.soundness import check_pipeline, check_tree_node

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

METADATA = "featurelib.json"
DIGEST = "featurelib.sha256"
_SCHEMA = "schema.json"

_MAX_METADATA_BYTES = 64 * 2**20

#: Kinds of skops nodes, and the types of each, that the estimators consist of.
_KNOWN = {
    "JsonNode": {"builtins.str"},
    "ListNode": {"builtins.list"},
    "TupleNode": {"builtins.tuple"},
    "DictNode": {"builtins.dict"},
    "TypeNode": {"builtins.str"},
    "DTypeNode": {"numpy.dtype"},
    "NdArrayNode": {
        "numpy.ndarray",
        "numpy.float32",
        "numpy.float64",
        "numpy.int32",
        "numpy.int64",
        "numpy.uint64",
    },
    "LossNode": {
        "sklearn._loss._loss.CyHalfBinomialLoss",
        "sklearn._loss._loss.CyHalfMultinomialLoss",
    },
    "TreeNode": {"sklearn.tree._tree.Tree"},
    "ObjectNode": {
        "jobs.models.svm.CalibratedSVC",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "sklearn.ensemble._forest.ExtraTreesClassifier",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.impute._base.SimpleImputer",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.neural_network._multilayer_perceptron.MLPClassifier",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.preprocessing._label.LabelBinarizer",
        "sklearn.preprocessing._label.LabelEncoder",
        "sklearn.svm._classes.SVC",
        "sklearn.tree._classes.ExtraTreeClassifier",
    },
}

#: Attributes that only training needs, and that would make files larger.
_FOR_TRAINING = ("_optimizer", "_random_state", "_feature_subsample_rng", "_random_seed")


def pack(pipeline: Pipeline, metadata: dict[str, Any]) -> bytes:
    """Return the file of a model.

    Parameters
    ----------
    pipeline : sklearn.pipeline.Pipeline
        The fitted pipeline.
    metadata : dict
        Values for JSON.
    """
    with featurelib.extras.needing("ml"):
        import skops.io

    for name in _FOR_TRAINING:
        vars(pipeline[-1]).pop(name, None)
    sink = io.BytesIO(skops.io.dumps(pipeline))
    with zipfile.ZipFile(sink, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(METADATA, json.dumps(metadata, indent=1))
        archive.writestr(DIGEST, _digest(archive))
    return sink.getvalue()


def unpack_metadata(data: bytes, where: str) -> dict[str, Any]:
    """Return the metadata of a model; nothing else of it is read.

    Raises
    ------
    ModelError
        If the file is no model, or is damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_members(archive, len(data), where)
            metadata = json.loads(archive.read(METADATA))
    except _BROKEN as error:
        raise _damaged(where, error) from error
    if not isinstance(metadata, dict):
        raise _damaged(where, f"{METADATA} is no object")
    return metadata


def unpack_pipeline(data: bytes, where: str, *, n_columns: int, n_classes: int) -> Pipeline:
    """Return the pipeline of a model.

    Parameters
    ----------
    data : bytes
        The file; `unpack_metadata` has read it.
    where : str
        Its location, for errors.
    n_columns, n_classes : int
        Numbers of features and classes that the metadata have.

    Raises
    ------
    ModelError
        If the file has a type that no model of featurelib has, or is damaged.
    """
    with featurelib.extras.needing("ml"):
        import skops.io

    trusted = sorted(set().union(*_KNOWN.values()))
    sink = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(sink, "w") as checked:
            schema = json.loads(archive.read(_SCHEMA))
            for node in _nodes(schema):
                _check_node(node, where)
                # by these, a node that was checked could stand for another one
                node.pop("__id__", None)
                if node["__loader__"] == "TreeNode":
                    check_tree_node(node, archive, n_columns=n_columns, n_classes=n_classes)
            checked.writestr(_SCHEMA, json.dumps(schema))
            for name in archive.namelist():
                if name not in (METADATA, DIGEST, _SCHEMA):
                    checked.writestr(name, archive.read(name))
        pipeline = skops.io.load(sink, trusted=trusted)
        check_pipeline(pipeline, n_columns=n_columns, n_classes=n_classes)
    except (*_BROKEN, AttributeError, ImportError, IndexError, MemoryError, OSError) as error:
        raise _damaged(where, error) from error
    return pipeline


#: What the libraries raise for files that are damaged.
_BROKEN = (
    zipfile.BadZipFile,
    EOFError,
    KeyError,
    NotImplementedError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
)


def _damaged(where: str, why: object) -> ModelError:
    if isinstance(why, Exception):
        why = f"{type(why).__name__}: {' '.join(str(why).split())[:200]}"
    return ModelError(
        f"{where} is no model of featurelib, or is damaged ({why}): give a file that featurelib"
        " train has made"
    )


def _check_members(archive: zipfile.ZipFile, n_bytes: int, where: str) -> None:
    """Refuse an archive that is no model's, that grows, or whose digest is another."""
    members = archive.infolist()
    names = [member.filename for member in members]
    for name in (METADATA, DIGEST, _SCHEMA):
        if names.count(name) != 1:
            raise _damaged(where, f"it has no {name}")
    is_packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    if is_packed or sum(member.file_size for member in members) > n_bytes:
        raise _damaged(where, "it is compressed")
    if archive.getinfo(METADATA).file_size > _MAX_METADATA_BYTES:
        raise _damaged(where, f"{METADATA} is too large")
    if archive.read(DIGEST) != _digest(archive).encode():
        raise _damaged(where, "its digest is another one")


def _digest(archive: zipfile.ZipFile) -> str:
    """Return a digest of the names and contents of all members but the digest."""
    digest = hashlib.sha256()
    for name in sorted(archive.namelist()):
        if name != DIGEST:
            digest.update(f"{name}\0{archive.getinfo(name).file_size}\0".encode())
            digest.update(archive.read(name))
    return digest.hexdigest()


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield all nodes of a skops schema."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "__loader__" in value:
                yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _check_node(node: dict[str, Any], where: str) -> None:
    loader, name = node["__loader__"], f"{node.get('__module__')}.{node.get('__class__')}"
    if name not in _KNOWN.get(loader, ()):
        raise ModelError(
            f"{where} has a {name} ({loader}), which no model of featurelib has: it may run foreign"
            " code and is not read; give a file that featurelib train has made"
        )
