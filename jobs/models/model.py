"""`Model`: a trained classifier with all that is needed to use it."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.errors import ModelError, UsageError
from jobs.models import archive
from jobs.models.estimators import probabilities
from jobs.storage.opening import open_store
from jobs.storage.urls import redacted, split_name, stored_name
from jobs.table.metadata import TableMetadata, check_features, named_differences

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

#: Version of the metadata.
FORMAT = 1

#: Rows of which a model remembers its probabilities, to find out whether it still gives them.
_N_PROBES = 8
_PROBE_TOLERANCE = 1e-6

_LIBRARIES = ("scikit-learn", "skops", "numpy")


@dataclass(frozen=True)
class ModelMetadata:
    """What a model is for, and what it is made of.

    Attributes
    ----------
    estimator : str
        Name of the estimator.
    seed : int
        Seed of the training.
    classes : list of str
        The labels, sorted.
    columns : list of str
        The feature columns, in order.
    spec : dict
        Feature spec of the table.
    fingerprint : str
        Fingerprint of the spec.
    featurelib : str
        Version of featurelib that made the table.
    data : dict
        The table: its location, a digest of the rows, the number of files and rows, what was left
        out, and how files were grouped.
    scores : dict
        Result of the cross-validation, as `CrossValidation.to_dict` returns it. The confusion
        matrix of more than 1000 labels is null.
    versions : dict of str to str
        Versions of Python and the libraries.
    probes : list of list of float
        Probabilities for rows that follow from the model itself.
    format : int
        Version of the metadata.
    """

    estimator: str
    seed: int
    classes: list[str]
    columns: list[str]
    spec: dict[str, Any]
    fingerprint: str
    featurelib: str
    data: dict[str, Any]
    scores: dict[str, Any]
    versions: dict[str, str] = field(default_factory=lambda: versions())
    probes: list[list[float]] = field(default_factory=list)
    format: int = FORMAT

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> ModelMetadata:
        """Return the metadata of a file.

        Raises
        ------
        ModelError
            If they are of another version, or damaged.
        """
        if values.get("format") != FORMAT:
            raise ModelError(
                f"{where} is a model of the format {values.get('format')!r}, and this version of"
                f" featurelib reads {FORMAT}: train it again"
            )
        try:
            metadata = cls(**values)
        except TypeError as error:
            raise ModelError(f"{where} is damaged ({error}): train the model again") from error
        is_sound = (
            _are_names(metadata.classes)
            and len(metadata.classes) > 1
            and _are_names(metadata.columns)
            and isinstance(metadata.spec, dict)
            and isinstance(metadata.fingerprint, str)
            and isinstance(metadata.versions, dict)
        )
        if not is_sound:
            raise ModelError(f"{where} is damaged (wrong metadata): train the model again")
        return metadata


def _are_names(value: Any) -> bool:
    """Return whether a value is a list of different texts that can be written."""
    if not (isinstance(value, list) and value and all(isinstance(name, str) for name in value)):
        return False
    return len(set(value)) == len(value) and all(_is_text(name) for name in value)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that decide about a model."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


@dataclass(frozen=True)
class Model:
    """A trained classifier.

    Attributes
    ----------
    pipeline : sklearn.pipeline.Pipeline
        The fitted pipeline; its classes are numbers of the metadata's.
    metadata : ModelMetadata
        What it is for.
    """

    pipeline: Pipeline
    metadata: ModelMetadata

    def probabilities(self, X: np.ndarray) -> np.ndarray:
        """Return the probability of each class for each row.

        Parameters
        ----------
        X : np.ndarray [shape=(n_rows, n_columns), dtype=float32]
            The columns of the metadata, in their order. NaN is a missing value.

        Returns
        -------
        np.ndarray [shape=(n_rows, n_classes), dtype=float64]
        """
        return probabilities(self.pipeline, X, len(self.metadata.classes))

    def to_bytes(self) -> bytes:
        """Return the file of the model."""
        probes = self.probabilities(_probe_rows(self.pipeline)).tolist()
        return archive.pack(self.pipeline, {**asdict(self.metadata), "probes": probes})

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> tuple[Model, list[str]]:
        """Read the file of a model, which runs no code of it.

        Parameters
        ----------
        data : bytes
            The file.
        where : str
            Its location, for errors.

        Returns
        -------
        Model
        list of str
            What the user should know of it.

        Raises
        ------
        ModelError
            If the file is no model, is damaged, has foreign types in it, or gives other
            probabilities than where it was made.
        """
        metadata = ModelMetadata.from_dict(archive.unpack_metadata(data, where), where)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other versions: the probes decide
            pipeline = archive.unpack_pipeline(
                data,
                where,
                n_columns=len(metadata.columns),
                n_classes=len(metadata.classes),
            )
            model = cls(pipeline, metadata)
            differences = _version_differences(metadata.versions)
            if not model._gives_its_probes():
                made = f"; it was made with {differences}" if differences else ""
                raise ModelError(
                    f"{where} does not give the probabilities here that it gave where it was made"
                    f"{made}: train it again with the libraries that are installed"
                )
        notes = []
        if differences:
            notes.append(f"the model was made with {differences}; it gives the same here")
        return model, notes

    def _gives_its_probes(self) -> bool:
        try:
            wanted = np.array(self.metadata.probes, float)
            found = self.probabilities(_probe_rows(self.pipeline))
        except (AttributeError, IndexError, TypeError, ValueError):
            return False
        return wanted.shape == found.shape and bool(
            np.allclose(found, wanted, rtol=0, atol=_PROBE_TOLERANCE)
        )


def _probe_rows(pipeline: Pipeline) -> np.ndarray:
    """Return rows around the mean of the training rows, the same ones for each reader."""
    mean = np.nan_to_num(pipeline[0].mean_)
    scale = np.nan_to_num(pipeline[0].scale_)
    waves = np.sin(np.arange(1, _N_PROBES * len(mean) + 1)).reshape(_N_PROBES, len(mean))
    return (mean + 2.0 * scale * waves).astype(np.float32)


def _version_differences(made: Mapping[str, str]) -> str:
    here = versions()
    return ", ".join(
        f"{name} {made.get(name)} (here {here[name]})"
        for name in _LIBRARIES
        if made.get(name) != here[name]
    )


def read_model(location: str, options: dict[str, Any]) -> tuple[Model, list[str]]:
    """Read a model; see `Model.from_bytes`.

    Parameters
    ----------
    location : str
        Path or URL of the file.
    options : dict
        Storage options for fsspec.

    Raises
    ------
    ModelError
        If there is no such file, or it is no model.
    """
    shown = redacted(location)
    folder, name = split_name(location)
    if not name:
        raise ModelError(f"{shown} is a folder: give the file that featurelib train has made")
    try:
        data, _ = open_store(folder, options).read(stored_name(location, name))
    except IsADirectoryError as error:
        raise ModelError(
            f"{shown} is a folder: give the file that featurelib train has made"
        ) from error
    except OSError as error:
        raise ModelError(f"cannot read {shown}: {error.strerror or error}") from error
    return Model.from_bytes(data, shown)


def check_fits(model: ModelMetadata, table: TableMetadata, where: str) -> None:
    """Refuse a table whose columns have other values than those that a model was trained on.

    Parameters
    ----------
    model : ModelMetadata
        Metadata of the model.
    table : TableMetadata
        Metadata of the table.
    where : str
        Location of the table.

    Raises
    ------
    UsageError
        If the specs differ; the message names the differences. Or if the table is of images.
    """
    check_features(table, where)
    names = table.recorded_spec.feature_names
    if model.fingerprint == table.fingerprint and model.columns == names:
        return
    named = named_differences(model.spec, table.spec)
    if not named:
        raise UsageError(
            f"{where} was made by featurelib {table.featurelib}, whose values for this spec differ"
            f" from those of {model.featurelib}, on which the model was trained: train it again"
        )
    raise UsageError(
        f"{where} has another spec than the model's table ({named}): make a table with the model's"
        " spec, or give the corpus, which is extracted with it"
    )
