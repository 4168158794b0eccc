"""The feature graph: nodes say what is computed, operators compute it block by block.

A node is a frozen dataclass. Its fields are parameters, or the nodes that it reads. Equal
nodes are one node, so what several features need is computed once. The state of a node
over one signal is its operator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

import numpy as np

from featurelib.errors import SpecError
from featurelib.parameters import checked, is_node_field


class Block(NamedTuple):
    """Consecutive frames of one node.

    Attributes
    ----------
    x : object
        Mostly an array of shape (n_frames, width). Samples, frames and spectra have
        layouts of their own: see their nodes. Readers never write to it.
    n_frames : int
        Number of frames.
    """

    x: Any
    n_frames: int


class Node:
    """What is computed: parameters, the nodes that are read, and who computes it.

    Subclasses are frozen dataclasses whose fields all have keywords.
    """

    #: Increment when any value of this node changes, or the default of a parameter does.
    version: ClassVar[int] = 1

    #: Whether blocks of frames leave later than the input's, or not the same number of them.
    realigns: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value = checked(field, getattr(self, field.name))
            # The only way to coerce a field of a frozen dataclass.
            object.__setattr__(self, field.name, value)

    def inputs(self) -> tuple[Node, ...]:
        """The nodes that this one reads, in the order of its operator's ports.

        By default the fields that are nodes. What they are never depends on the rate.
        """
        values = (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]
        return tuple(value for value in values if isinstance(value, Node))

    def check(self, sr: int | None) -> None:
        """Refuse parameters that do not fit together.

        Parameters
        ----------
        sr : int or None
            Sampling rate of the analysis [Hz]; None if each file has its own, in which
            case it is checked again for each.

        Raises
        ------
        SpecError
            If they do not fit.
        """

    def operator(self, sr: int) -> Operator:
        """Make the state for one signal at a rate [Hz]."""
        raise NotImplementedError

    def spill_bytes(self) -> int:
        """Bytes that are kept of every frame until the end of the signal."""
        return 0


class Operator:
    """The state of one node over one signal."""

    def push(self, block: Block, port: int) -> Iterable[Block]:
        """Take in a block of input number `port`; give the frames that are known by now.

        The block's memory may be used again after the call: keep a copy, unless the
        input's node says otherwise. What is given is not changed afterwards, unless this
        operator's node says so.
        """
        raise NotImplementedError

    def finish(self) -> Iterable[Block]:
        """Give the frames that had to wait for the end of the signal."""
        return ()


class Blockwise(Operator):
    """One block out for each block in: no state, no delay.

    As there is no state, one operator serves all signals, also of several threads.
    """

    def __init__(self, function: Callable[[Block], Block]) -> None:
        self.function = function

    def push(self, block: Block, port: int) -> Iterable[Block]:
        return (self.function(block),)


class Lockstep(Operator):
    """One block out for one block of each input, which have to be of the same frames.

    A plan refuses inputs that are not in step (see `Node.realigns`).
    """

    def __init__(self, function: Callable[..., Block], n_inputs: int) -> None:
        self._function = function
        self._blocks: list[Block | None] = [None] * n_inputs
        self._n_missing = n_inputs

    def push(self, block: Block, port: int) -> Iterable[Block]:
        assert self._blocks[port] is None
        self._blocks[port] = block
        self._n_missing -= 1
        if self._n_missing:
            return ()
        blocks = self._blocks
        self._blocks = [None] * len(blocks)
        self._n_missing = len(blocks)
        return (self._function(*blocks),)


@dataclass(frozen=True, kw_only=True)
class Signal(Node):
    """The samples of one channel, mixed down and resampled: the root of every graph.

    Blocks: samples, shape (n,), float32. The memory is used again.
    """

    #: Stands for all that comes before: decoders, mixing down, resampling, offsets, segments.
    version: ClassVar[int] = 1

    def operator(self, sr: int) -> Operator:
        return Blockwise(lambda block: block)


class Plan:
    """The nodes that some outputs need, inputs first, and who reads whom.

    Parameters
    ----------
    outputs : iterable of Node
        What is wanted.
    sr : int
        Sampling rate of the signal [Hz].

    Raises
    ------
    SpecError
        If parameters do not fit together at this rate.
    """

    def __init__(self, outputs: Iterable[Node], sr: int) -> None:
        self.sr = sr
        #: Place of each node in `nodes`.
        self.index: dict[Node, int] = {}
        for node in (Signal(), *outputs):
            self._add(node)
        #: All nodes; each comes after its inputs.
        self.nodes = list(self.index)
        made = [node.operator(sr) for node in self.nodes]
        self._check_steps(made)
        #: Operators that serve all signals; None where each has its own.
        self.shared = [one if type(one) is Blockwise else None for one in made]
        #: For each node, who reads it: place of the reader, port, and its function if it has
        #: nothing else.
        self.readers: list[list[tuple[int, int, Callable[[Block], Block] | None]]]
        self.readers = [[] for _ in self.nodes]
        for i, node in enumerate(self.nodes):
            shared = self.shared[i]
            function = None if shared is None else shared.function
            for port, source in enumerate(node.inputs()):
                self.readers[self.index[source]].append((i, port, function))
        #: Places of the operators that may have more to give at the end.
        self.finishing = [i for i, one in enumerate(self.shared) if one is None]

    def _add(self, node: Node) -> None:
        if node in self.index:
            return
        for source in node.inputs():
            self._add(source)
        node.check(self.sr)
        self.index[node] = len(self.index)

    def _check_steps(self, made: list[Operator]) -> None:
        """Refuse to join blocks that are not of the same frames."""
        steps: list[frozenset[Node]] = []
        for node, operator in zip(self.nodes, made, strict=True):
            own = [steps[self.index[source]] for source in node.inputs()]
            if len(set(own)) > 1 and isinstance(operator, Lockstep):
                names = ", ".join(type(source).__name__ for source in node.inputs())
                raise SpecError(
                    f"{type(node).__name__} reads frames that do not arrive together ({names}):"
                    " its operator has to align them"
                )
            step = frozenset().union(*own)
            steps.append(step | {node} if node.realigns else step)


class Analysis:
    """Runs a plan over one signal that arrives in pieces."""

    def __init__(self, plan: Plan) -> None:
        self._readers, self._finishing = plan.readers, plan.finishing
        #: The operators, in the order of the plan's nodes.
        self.operators: list[Any] = [
            shared or node.operator(plan.sr)
            for node, shared in zip(plan.nodes, plan.shared, strict=True)
        ]

    def push(self, y: np.ndarray) -> None:
        """Take in more of the signal: finite float32 samples at the plan's rate."""
        if len(y):
            self._emit(0, Block(y, len(y)))

    def finish(self) -> None:
        """End the signal: everything that had to wait is computed."""
        for i in self._finishing:  # inputs come before their readers
            for block in self.operators[i].finish():
                self._emit(i, block)

    def _emit(self, i: int, block: Block) -> None:
        for j, port, function in self._readers[i]:
            if function is not None:  # a short way, which short files feel
                self._emit(j, function(block))
                continue
            for result in self.operators[j].push(block, port):
                self._emit(j, result)


def canonical(node: Node) -> list[Any]:
    """A node as plain JSON: all that defines its values, at whatever rate.

    Scalar parameters that have their defaults are left out: so a parameter that is added
    later changes nothing, and a default that changes needs another `version`. Nodes that
    are read, as fields or derived from them, are written in full.

    Returns
    -------
    list
        Name of the class, its version, the parameters that differ from their defaults,
        the nodes that are fields, by name, all that are read, in order, and, where the
        class is not featurelib's own, the digest of its source.
    """
    kind = type(node)
    scalars, nodes = {}, {}
    made: dict[Node, Any] = {}  # most nodes are a field and an input: they are walked once
    for field in fields(node):  # type: ignore[arg-type]
        value = getattr(node, field.name)
        if is_node_field(field):
            if value is not None and value not in made:
                made[value] = canonical(value)
            nodes[field.name] = None if value is None else made[value]
        elif value != field.default:
            scalars[field.name] = value
    result: list[Any] = [kind.__name__, kind.version, scalars, nodes]
    result.append([canonical(source) for source in node.inputs() if source not in made])
    digest = getattr(kind, "source_digest", None)
    return result if digest is None else [*result, digest]


def walk(node: Node) -> Iterator[Node]:
    """A node, and all that it reads in whatever depth, each as often as it is read."""
    yield node
    for source in node.inputs():
        yield from walk(source)
