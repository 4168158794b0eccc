"""Checks of the numbers in a model that scikit-learn uses as addresses and sizes.

The compiled code of trees and support vector machines trusts the indices and sizes in a model. A
file with wrong ones could make it read memory that is not its own. A small file with an array of
no numbers, but of a huge shape, could make it ask for more memory than there is.
"""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

import featurelib.extras

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

_LEAF = -1

#: Kinds of the nodes that give the sizes of a tree: the numbers of features, of the classes of
#: each output, and of outputs.
_TREE_ARGUMENTS = ["TupleNode", "JsonNode", "NdArrayNode", "JsonNode"]


def check_tree_node(
    node: dict[str, Any], archive: zipfile.ZipFile, *, n_columns: int, n_classes: int
) -> None:
    """Check the sizes with which a tree is made, before it is made.

    Parameters
    ----------
    node : dict
        The node of the tree in the schema of skops.
    archive : zipfile.ZipFile
        The file.
    n_columns, n_classes : int
        Expected numbers of features and classes.

    Raises
    ------
    ValueError
        If one is wrong.
    """
    arguments = node["__reduce__"]["args"]
    features, counts, outputs = arguments["content"]
    # skops may read a node of another kind from another place than the one that is checked here
    kinds = [one["__loader__"] for one in (arguments, features, counts, outputs)]
    if kinds != _TREE_ARGUMENTS or counts["type"] != "numpy":
        raise ValueError("the size of a tree is of another kind")
    sizes = [json.loads(features["content"]), json.loads(outputs["content"])]
    classes = np.load(io.BytesIO(archive.read(counts["file"])), allow_pickle=False)
    if sizes != [n_columns, 1] or classes.shape != (1,) or int(classes[0]) != n_classes:
        raise ValueError("the size of a tree is wrong")


def check_pipeline(pipeline: Pipeline, *, n_columns: int, n_classes: int) -> None:
    """Check a pipeline that was read.

    Parameters
    ----------
    pipeline : sklearn.pipeline.Pipeline
        The pipeline.
    n_columns, n_classes : int
        Expected numbers of features and classes.

    Raises
    ------
    ValueError
        If a number is wrong, or the steps are none of featurelib's.
    """
    with featurelib.extras.needing("ml"):
        from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import LogisticRegression
        from sklearn.neural_network import MLPClassifier
        from sklearn.pipeline import Pipeline
        from sklearn.preprocessing import StandardScaler

        from jobs.models.svm import CalibratedSVC

    _need(type(pipeline) is Pipeline, "it is no pipeline")
    steps = [(name, type(step)) for name, step in pipeline.steps]
    _need(
        steps[:-1] == [("scale", StandardScaler), ("impute", SimpleImputer)]
        and steps[-1][0] == "classify",
        "its steps are others",
    )
    classifier = pipeline[-1]
    _need(np.array_equal(classifier.classes_, np.arange(n_classes)), "its classes are others")
    _need(pipeline[0].mean_.shape == (n_columns,), "it has another number of columns")
    if isinstance(classifier, ExtraTreesClassifier):
        _check_trees(classifier, n_columns, n_classes)
    elif isinstance(classifier, HistGradientBoostingClassifier):
        _check_boosting(classifier, n_columns, n_classes)
    elif isinstance(classifier, CalibratedSVC):
        _check_machine(classifier.svc_, n_columns, n_classes)
    elif isinstance(classifier, MLPClassifier):
        _check_network(classifier, n_columns, n_classes)
    else:
        _need(isinstance(classifier, LogisticRegression), "it is no classifier")
        _need(classifier.coef_.shape == (_n_outputs(n_classes), n_columns), "a size is wrong")


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)


def _n_outputs(n_classes: int) -> int:
    return 1 if n_classes == 2 else n_classes


def _check_network(network: Any, n_columns: int, n_classes: int) -> None:
    """Check that each layer takes what the one before it gives, and none is empty."""
    weights, biases = network.coefs_, network.intercepts_
    sizes = [n_columns, *(len(bias) for bias in biases)]
    shapes = list(itertools.pairwise(sizes))
    _need(
        all(sizes)
        and sizes[-1] == _n_outputs(n_classes)
        and network.n_layers_ == len(sizes)
        and [one.shape for one in weights] == shapes
        and [one.shape for one in biases] == [(size,) for size in sizes[1:]],
        "the sizes of the layers are wrong",
    )


def _check_trees(forest: Any, n_columns: int, n_classes: int) -> None:
    from sklearn.tree import ExtraTreeClassifier
    from sklearn.tree._tree import Tree

    _need(len(forest.estimators_) > 0, "it has no trees")
    for tree in forest.estimators_:
        # another estimator could have a sound tree besides the one that it uses
        is_tree = type(tree) is ExtraTreeClassifier and type(tree.tree_) is Tree
        _need(is_tree, "a tree is no tree")
        _check_tree(tree.tree_, n_columns, n_classes)
    for tree in (forest, *forest.estimators_):
        _need((tree.n_outputs_, tree.n_classes_) == (1, n_classes), "the size of a tree is wrong")


def _check_tree(tree: Any, n_columns: int, n_classes: int) -> None:
    _need(0 < tree.node_count <= tree.capacity, "the size of a tree is wrong")
    _need(tree.value.shape == (tree.node_count, 1, n_classes), "the size of a tree is wrong")
    is_leaf = tree.children_left == _LEAF
    _need(bool((is_leaf == (tree.children_right == _LEAF)).all()), "a node has one branch")
    for children in (tree.children_left, tree.children_right):
        _check_children(children, is_leaf)
    _check_features(tree.feature[~is_leaf], n_columns)


def _check_children(children: np.ndarray, is_leaf: np.ndarray) -> None:
    """Check that branches lead to later nodes, so that each walk ends."""
    numbers = np.flatnonzero(~is_leaf)
    targets = children[numbers].astype(np.int64)
    _need(bool(((targets > numbers) & (targets < len(children))).all()), "a branch leads nowhere")


def _check_features(features: np.ndarray, n_columns: int) -> None:
    _need(bool(((features >= 0) & (features < n_columns)).all()), "a node has no such feature")


def _check_boosting(classifier: Any, n_columns: int, n_classes: int) -> None:
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    n_trees = _n_outputs(n_classes)
    _need(classifier.n_trees_per_iteration_ == n_trees, "it has another number of trees")
    _need(classifier.is_categorical_ is None, "it has categories")
    _need(classifier._baseline_prediction.size == n_trees, "it has another number of trees")
    for trees in classifier._predictors:
        _need(len(trees) == n_trees, "it has another number of trees")
        for tree in trees:
            nodes = tree.nodes
            _need(nodes.dtype == PREDICTOR_RECORD_DTYPE and nodes.ndim == 1, "a tree is no tree")
            _need(len(nodes) > 0 and not nodes["is_categorical"].any(), "it has categories")
            is_leaf = nodes["is_leaf"].astype(bool)
            _check_children(nodes["left"], is_leaf)
            _check_children(nodes["right"], is_leaf)
            _check_features(nodes["feature_idx"][~is_leaf].astype(np.int64), n_columns)
    mapper = classifier._bin_mapper
    _need(not mapper.is_categorical_.any(), "it has categories")
    _need(mapper.is_categorical_.shape == (n_columns,), "it has another number of columns")


def _check_machine(machine: Any, n_columns: int, n_classes: int) -> None:
    from sklearn.svm import SVC

    _need(type(machine) is SVC, "it is no support vector machine")
    n = len(machine.support_)
    _need(
        machine.support_vectors_.shape == (n, n_columns)
        and machine._n_support.shape == (n_classes,)
        and int(machine._n_support.sum()) == n
        and bool((machine._n_support >= 0).all())
        and machine._dual_coef_.shape == (n_classes - 1, n)
        and machine._intercept_.shape == (n_classes * (n_classes - 1) // 2,)
        and machine._probA.size == machine._probB.size == 0
        and machine.kernel == "rbf"
        and not machine._sparse,
        "the sizes of the support vector machine are wrong",
    )
