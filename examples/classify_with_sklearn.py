"""Train a classifier of your own with scikit-learn: its parameter is chosen without a leak.

    python examples/classify_with_sklearn.py TABLE
    python examples/classify_with_sklearn.py TABLE --group-by artist

Rows of one group are never on both sides of a split: the segments of a file, copies of the same
audio and, with ``--group-by``, the files of one artist. This holds for the outer folds, which give
the score, and for the inner folds, which choose the parameter.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import featurelib

#: Numbers of neighbours to choose from.
NEIGHBOURS = (1, 3, 5, 9)


def classifier() -> Pipeline:
    """Return nearest neighbours of standardized features; the scaler is fitted within a fold."""
    return make_pipeline(
        SimpleImputer(keep_empty_features=True), StandardScaler(), KNeighborsClassifier()
    )


def scores(X: pd.DataFrame, y: pd.Series, groups: np.ndarray, n_folds: int = 3) -> list[float]:
    """Return the balanced accuracy on each outer fold.

    Parameters
    ----------
    X : DataFrame [shape=(n, n_features)]
        Features.
    y : Series [shape=(n,)]
        Labels.
    groups : np.ndarray [shape=(n,)]
        Group of each row.
    n_folds : int
        Number of outer and of inner folds.

    Returns
    -------
    list of float
        One score a fold, from 0 to 1.
    """
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=0)
    found = []
    for train, test in folds.split(X, y, groups):
        search = GridSearchCV(
            classifier(), {"kneighborsclassifier__n_neighbors": NEIGHBOURS}, cv=folds
        )
        search.fit(X.iloc[train], y.iloc[train], groups=groups[train])
        found.append(balanced_accuracy_score(y.iloc[test], search.predict(X.iloc[test])))
    return found


def main() -> None:
    """Print the score."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("table", metavar="TABLE")
    parser.add_argument("--group-by", metavar="COLUMN", action="append", default=[])
    arguments = parser.parse_args()

    X, y, groups = featurelib.load_table(arguments.table, group_by=arguments.group_by)
    print(f"{X.shape[0]} rows, {X.shape[1]} features, {len(np.unique(groups))} groups")
    found = scores(X, y, groups)
    print(f"balanced accuracy: {np.mean(found):.3f} ± {np.std(found):.3f}")
    print(f"by chance: {1 / y.nunique():.3f}")


if __name__ == "__main__":
    main()
