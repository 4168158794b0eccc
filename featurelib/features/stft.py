"""Magnitudes of the short-time Fourier transform as features, linear and in dB."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featurelib import kernels
from featurelib.features.base import Feature, stft_arguments
from featurelib.graph import Block, Blockwise, Node, Operator
from featurelib.transforms.stft import STFT, LogPower, rows

_DB_PER_NEPER = np.float32(10.0 / np.log(10.0))


@dataclass(frozen=True, kw_only=True)
class STFTMagnitude(Feature):
    """Magnitudes of all frames and bins."""

    family: ClassVar[str] = "stft"
    is_always_pooled: ClassVar[bool] = True

    stft: STFT = STFT()

    @property
    def width(self) -> int:
        return self.stft.n_bins

    @property
    def has_rows(self) -> bool:
        return True

    def cells(self) -> Node:
        return MagnitudeCells(stft=self.stft)

    def definition(self, row: int | None, sr: int | None) -> str:
        return "magnitude of the short-time Fourier transform"

    def librosa(self, sr: int | None) -> str:
        return f"np.abs(librosa.stft(y, {stft_arguments(self.stft)}))"

    def operator(self, sr: int) -> Operator:
        return Blockwise(lambda block: Block(rows(*block), block.n_frames))


@dataclass(frozen=True, kw_only=True)
class MagnitudeCells(Node):
    """Magnitudes in any order, which avoids a copy of whole batches.

    Blocks: any shape, float32.
    """

    stft: STFT = STFT()

    def operator(self, sr: int) -> Operator:
        return _MagnitudeCells()


class _MagnitudeCells(Operator):
    """Gives whole batches as they are, and a copy of the last batch without undefined lanes."""

    def push(self, block: Block, port: int) -> Iterable[Block]:
        n_whole, n_last = divmod(block.n_frames, kernels.LANES)
        if n_whole:
            yield Block(block.x[:n_whole], n_whole * kernels.LANES)
        if n_last:
            yield Block(np.ascontiguousarray(block.x[n_whole, :, :n_last]), n_last)


@dataclass(frozen=True, kw_only=True)
class STFTDb(Feature):
    """Magnitudes of all frames and bins, in dB."""

    family: ClassVar[str] = "stft_db"
    unit: ClassVar[str] = "dB"
    is_always_pooled: ClassVar[bool] = True

    stft: STFT = STFT()

    @property
    def width(self) -> int:
        return self.stft.n_bins

    @property
    def has_rows(self) -> bool:
        return True

    def inputs(self) -> tuple[Node, ...]:
        return (LogPower(stft=self.stft),)

    def cells(self) -> Node:
        return DbCells(stft=self.stft)

    def definition(self, row: int | None, sr: int | None) -> str:
        return (
            "20 times the decimal logarithm of the magnitude of the short-time Fourier "
            "transform, at least 1e-5 (-100 dB)"
        )

    def librosa(self, sr: int | None) -> str:
        return (
            f"librosa.amplitude_to_db(np.abs(librosa.stft(y, {stft_arguments(self.stft)})), "
            "amin=1e-5, top_db=None)"
        )

    def operator(self, sr: int) -> Operator:
        return Blockwise(lambda block: Block(rows(*block) * _DB_PER_NEPER, block.n_frames))


@dataclass(frozen=True, kw_only=True)
class DbCells(Node):
    """Levels [dB] in any order, so that only the last batch is moved.

    Blocks: any shape, float32. The memory is reused.
    """

    stft: STFT = STFT()

    def inputs(self) -> tuple[Node, ...]:
        return (LogPower(stft=self.stft),)

    def operator(self, sr: int) -> Operator:
        scratch = kernels.Scratch()

        def levels(block: Block) -> Block:
            logarithms, n_frames = block
            out = scratch.take(logarithms.shape)
            np.multiply(logarithms, _DB_PER_NEPER, out=out)
            n_last = n_frames % kernels.LANES
            if not n_last:
                return Block(out, n_frames)
            last = np.ascontiguousarray(out[-1, :, :n_last]).reshape(-1)
            found = out.reshape(-1)[: out[:-1].size + last.size]
            found[out[:-1].size :] = last
            return Block(found, n_frames)

        return Blockwise(levels)
