"""Train a network with PyTorch: a `Dataset` that reads the parts of a table with PyArrow.

    pip install torch
    python examples/train_with_pytorch.py TABLE --epochs 30

The rows are read part by part into one float32 matrix, which is 400 MB for a million rows of 98
features. Copies of the same audio and segments of one file are on one side of the split. A GPU is
used if there is one.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler

import featurelib


class TableDataset(Dataset):
    """Rows of a table that have a label and are not silent.

    Parameters
    ----------
    table : Path
        The table.

    Attributes
    ----------
    X : np.ndarray [shape=(n, n_features), dtype=float32]
        Features; NaN where the table has null.
    y : np.ndarray [shape=(n,), dtype=int64]
        Numbers of the labels.
    labels : list of str
        The labels, sorted.
    tracks : np.ndarray [shape=(n,), dtype=int64]
        Number of the file of each row.
    audio_hash : np.ndarray [shape=(n,)]
        Hash of the samples of the file: the same for copies.
    """

    def __init__(self, table: Path) -> None:
        metadata = json.loads((table / "_job" / "table.json").read_text())
        names = [  # not by the spec, which may name a file of code: a table can come from anybody
            column["name"]
            for column in metadata["columns"]
            if column["type"] == "float" and column["name"] not in featurelib.SIGNAL_COLUMNS
        ]
        parts = ds.dataset(table / "features", format="parquet")
        usable = ds.field("label").is_valid() & ~ds.field("is_silent")

        self.X = np.empty((parts.count_rows(filter=usable), len(names)), np.float32)
        about: list[pa.RecordBatch] = []
        end = 0
        for batch in parts.to_batches(["path", "label", "audio_hash", *names], filter=usable):
            start, end = end, end + batch.num_rows
            for i, name in enumerate(names):
                self.X[start:end, i] = batch.column(name).to_numpy(zero_copy_only=False)
            about.append(batch.select(["path", "label", "audio_hash"]))
        rows = pa.Table.from_batches(about)
        labels, self.y = np.unique(rows["label"].to_numpy(), return_inverse=True)
        self.labels = [str(label) for label in labels]
        _, self.tracks = np.unique(rows["path"].to_numpy(), return_inverse=True)
        self.audio_hash = rows["audio_hash"].to_numpy()

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: int | list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the features and labels of one row, or of a batch of rows."""
        return torch.as_tensor(self.X[rows]), torch.as_tensor(self.y[rows])


def split(audio_hash: np.ndarray, one_in: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows for training and, for one in `one_in` sounds, those for validation."""
    number = np.array([int(value[-8:], 16) for value in audio_hash], np.int64)
    held_out = number % one_in == 0
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def batches(data: Dataset, rows: np.ndarray, size: int, *, shuffle: bool) -> DataLoader:
    """Return a loader of some rows, which fetches a whole batch at once."""
    order = RandomSampler(rows) if shuffle else SequentialSampler(rows)
    picked = torch.utils.data.Subset(data, rows)
    return DataLoader(picked, sampler=BatchSampler(order, size, drop_last=False), batch_size=None)


class Standardize(nn.Module):
    """Shift and scale each feature as in the rows for training; what is unknown becomes 0."""

    def __init__(self, X: np.ndarray) -> None:
        super().__init__()
        deviation = np.nanstd(X, axis=0)
        self.register_buffer("mean", torch.as_tensor(np.nanmean(X, axis=0)))
        self.register_buffer("deviation", torch.as_tensor(np.where(deviation > 0, deviation, 1)))

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return torch.nan_to_num((X - self.mean) / self.deviation)


def network(X: np.ndarray, n_labels: int) -> nn.Module:
    """Return the tutorial's network: 256, 128 and 64 units, then one output a label."""
    widths = [X.shape[1], 256, 128, 64]
    layers = [
        layer
        for n_in, n_out in itertools.pairwise(widths)
        for layer in (nn.Linear(n_in, n_out), nn.ReLU())
    ]
    return nn.Sequential(Standardize(X), *layers, nn.Linear(widths[-1], n_labels))


def accuracy(probabilities: np.ndarray, y: np.ndarray, tracks: np.ndarray) -> float:
    """Return the share of files whose label has the largest probability, mean of its rows."""
    files, first, file_of = np.unique(tracks, return_index=True, return_inverse=True)
    sums = np.zeros((len(files), probabilities.shape[1]))
    np.add.at(sums, file_of, probabilities)
    return float(np.mean(sums.argmax(axis=1) == y[first]))


def main() -> None:
    """Train, and print the loss and the accuracy on the files that were held out."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("table", metavar="TABLE", type=Path)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    data = TableDataset(arguments.table)
    if not len(data):
        raise SystemExit(
            f"{arguments.table}: no row has a label (featurelib extract --labels parent)"
        )
    torch.manual_seed(arguments.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train, held_out = split(data.audio_hash)
    model = network(data.X[train], len(data.labels)).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss_of = nn.CrossEntropyLoss()

    for epoch in range(1, arguments.epochs + 1):
        losses = []
        for X, y in batches(data, train, 64, shuffle=True):
            optimizer.zero_grad()
            loss = loss_of(model(X.to(device)), y.to(device))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if epoch % 10 == 0 or epoch == arguments.epochs:
            print(f"epoch {epoch}: loss {np.mean(losses):.3f}")

    with torch.no_grad():
        found = [
            torch.softmax(model(X.to(device)), dim=1).cpu()
            for X, _ in batches(data, held_out, 1024, shuffle=False)
        ]
    score = accuracy(torch.cat(found).numpy(), data.y[held_out], data.tracks[held_out])
    print(f"accuracy on {len(np.unique(data.tracks[held_out]))} files: {score:.3f}")


if __name__ == "__main__":
    main()
