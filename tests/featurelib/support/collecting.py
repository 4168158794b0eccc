"""All blocks of one node of a graph, while other nodes are computed beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from featurelib.graph import Analysis, Block, Node, Operator, Plan


class _Collected(Operator):
    def __init__(self) -> None:
        self.blocks: list[Block] = []

    def push(self, block: Block, port: int) -> Iterable[Block]:
        self.blocks.append(Block(block.x.copy(), block.n_frames))
        return ()


@dataclass(frozen=True, kw_only=True)
class Collector(Node):
    """Keeps copies of the blocks of a node."""

    of: Node

    def operator(self, sr: int) -> Operator:
        return _Collected()


def collected(node: Node, pieces: Iterable[np.ndarray], *beside: Node, sr: int) -> list[Block]:
    """Blocks of a node, for a signal that arrives in pieces; others are computed beside it."""
    collector = Collector(of=node)
    plan = Plan([*beside, collector], sr)
    analysis = Analysis(plan)
    for piece in pieces:
        analysis.push(piece)
    analysis.finish()
    return analysis.operators[plan.index[collector]].blocks


def pieces_of(y: np.ndarray, step: int) -> list[np.ndarray]:
    """Copies of the pieces of a signal, `step` samples each."""
    return [y[start : start + step].copy() for start in range(0, len(y), step)]
