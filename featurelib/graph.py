"""Feature graph: nodes define what is computed, operators compute it block by block.

A node is a frozen dataclass. Its fields are parameters, or the nodes that it reads. Equal
nodes are merged, so a result that several features need is computed once. An operator is
the state of one node during the analysis of one signal.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from featurelib.errors import SpecError
from featurelib.parameters import checked, is_node_field


class Block(NamedTuple):
    """Consecutive frames of one node.

    Attributes
    ----------
    x : object
        Usually an array of shape (n_frames, width). The nodes of samples, frames and
        spectra document their own layouts. Readers must not modify it.
    n_frames : int
        Number of frames.
    """

    x: Any
    n_frames: int


class Node:
    """Definition of one computation: parameters, inputs, and how to make its operator.

    Subclasses are frozen dataclasses with keyword-only fields.

    Attributes
    ----------
    version : int
        Version of the node's values, a class variable. Increment it when any value or the
        default of a parameter changes.
    realigns : bool
        Whether output frames are delayed, or differ in number from the input's frames. A
        class variable.
    """

    version: ClassVar[int] = 1
    realigns: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value = checked(field, getattr(self, field.name))
            # The only way to coerce a field of a frozen dataclass.
            object.__setattr__(self, field.name, value)

    def inputs(self) -> tuple[Node, ...]:
        """Return the nodes that this one reads, in the order of its operator's ports.

        By default they are the fields that are nodes. They must not depend on the sampling
        rate.
        """
        values = (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]
        return tuple(value for value in values if isinstance(value, Node))

    def check(self, sr: int | None) -> None:
        """Raise an error if parameters do not fit together, or not the sampling rate.

        Parameters
        ----------
        sr : int or None
            Sampling rate of the analysis [Hz]. None if each file is analysed at its own
            rate; the check is then repeated for each rate.

        Raises
        ------
        SpecError
            If they do not fit.
        """

    def operator(self, sr: int) -> Operator:
        """Make the operator that analyses one signal with sampling rate `sr` [Hz]."""
        raise NotImplementedError

    def beside(self, nodes: Collection[Node]) -> Node:
        """Return a node with equal values that costs less where others are computed anyway.

        By default it is the node itself.

        Parameters
        ----------
        nodes : collection of Node
            Nodes of the plan. The result may read any of them.
        """
        return self

    def spill_bytes(self) -> int:
        """Return the number of bytes per frame that are kept until the end of the signal.

        For a node that reads samples instead of frames, it is the number per sample.
        """
        return 0


NodeType = TypeVar("NodeType", bound=Node)


class Operator:
    """State of one node during the analysis of one signal."""

    def push(self, block: Block, port: int) -> Iterable[Block]:
        """Process a block of input number `port` and return the frames that are ready.

        The caller may reuse the block's memory after the call, so keep a copy, unless the
        documentation of the input's node says otherwise. Returned blocks are not modified
        later, unless the documentation of this operator's node says so.
        """
        raise NotImplementedError

    def finish(self) -> Iterable[Block]:
        """Return the remaining frames at the end of the signal."""
        return ()


class Blockwise(Operator):
    """Operator that applies a function to each block, without state or delay.

    Because it has no state, all signals share one operator, even in several threads.

    Parameters
    ----------
    function : callable
        Maps an input block to an output block.
    """

    def __init__(self, function: Callable[[Block], Block]) -> None:
        self.function = function

    def push(self, block: Block, port: int) -> Iterable[Block]:
        return (self.function(block),)


class Lockstep(Operator):
    """Operator that applies a function to one block of each input.

    The blocks must hold the same frames. A plan refuses inputs whose frames are not aligned
    (see `Node.realigns`).

    Parameters
    ----------
    function : callable
        Maps one block of each input to an output block.
    n_inputs : int
        Number of inputs.
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


class Samples(Node):
    """Base class of nodes whose blocks are samples.

    Blocks: samples, shape (n,), float32, with as many frames as samples. The memory is
    reused.
    """

    def definition(self) -> str:
        """Return the definition of the samples as a phrase, for column descriptions."""
        raise NotImplementedError

    def librosa(self) -> str:
        """Return the librosa call that gives the same samples of the signal `y`."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Signal(Samples):
    """Samples of one channel, mixed down and resampled: the root of every graph.

    Attributes
    ----------
    version : int
        Version of all processing before the graph: decoding, mixing down, resampling,
        offsets and segments. A class variable.
    """

    version: ClassVar[int] = 1

    def definition(self) -> str:
        return "the signal"

    def librosa(self) -> str:
        return "y"

    def operator(self, sr: int) -> Operator:
        return Blockwise(lambda block: block)


class Plan:
    """Nodes that the outputs need, in order of computation, and their readers.

    Parameters
    ----------
    outputs : iterable of Node
        Nodes to compute.
    sr : int
        Sampling rate of the signal [Hz].

    Attributes
    ----------
    nodes : list of Node
        All nodes. Each comes after its inputs.
    computed : list of Node
        For each node, the node that is computed for it (see `Node.beside`).
    index : dict of Node to int
        Index of each node in `nodes`.
    shared : list of (Blockwise or None)
        For each node, the operator that all signals share; None if each signal has its own.
    readers : list of list of tuple
        For each node, its readers: index of the reader, port, and the function of the reader
        if that is `Blockwise`, else None.
    finishing : list of int
        Indices of the operators that may have frames left at the end of the signal.

    Raises
    ------
    SpecError
        If parameters do not fit together at this rate.
    """

    def __init__(self, outputs: Iterable[Node], sr: int) -> None:
        self.sr = sr
        self.index: dict[Node, int] = {}
        outputs = (Signal(), *outputs)
        found = {node for output in outputs for node in walk(output)}
        for node in outputs:
            self._add(node, found)
        self.nodes = list(self.index)
        self.computed = [node.beside(found) for node in self.nodes]
        made = [node.operator(sr) for node in self.computed]
        self._check_steps(made)
        self.shared = [one if type(one) is Blockwise else None for one in made]
        self.readers: list[list[tuple[int, int, Callable[[Block], Block] | None]]]
        self.readers = [[] for _ in self.nodes]
        for i, node in enumerate(self.computed):
            shared = self.shared[i]
            function = None if shared is None else shared.function
            for port, source in enumerate(node.inputs()):
                self.readers[self.index[source]].append((i, port, function))
        self.finishing = [i for i, one in enumerate(self.shared) if one is None]

    def _add(self, node: Node, found: Collection[Node]) -> None:
        if node in self.index:
            return
        for source in node.beside(found).inputs():
            self._add(source, found)
        node.check(self.sr)
        self.index[node] = len(self.index)

    def _check_steps(self, made: list[Operator]) -> None:
        """Raise an error if a `Lockstep` operator reads inputs whose frames are not aligned."""
        steps: list[frozenset[Node]] = []
        for node, operator in zip(self.computed, made, strict=True):
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
    """Execution of a plan on one signal that arrives in pieces.

    Parameters
    ----------
    plan : Plan
        Nodes to compute.

    Attributes
    ----------
    operators : list of Operator
        One operator per node, in the order of the plan's nodes.
    """

    def __init__(self, plan: Plan) -> None:
        self._readers, self._finishing = plan.readers, plan.finishing
        self.operators: list[Any] = [
            shared or node.operator(plan.sr)
            for node, shared in zip(plan.computed, plan.shared, strict=True)
        ]

    def push(self, y: np.ndarray) -> None:
        """Process the next samples of the signal.

        Parameters
        ----------
        y : np.ndarray [shape=(n,), dtype=float32]
            Finite samples at the plan's sampling rate.
        """
        if len(y):
            self._emit(0, Block(y, len(y)))

    def finish(self) -> None:
        """End the signal and compute the remaining frames."""
        for i in self._finishing:  # inputs come before their readers
            for block in self.operators[i].finish():
                self._emit(i, block)

    def _emit(self, i: int, block: Block) -> None:
        for j, port, function in self._readers[i]:
            if function is not None:  # skips a generator, which saves time on short files
                self._emit(j, function(block))
                continue
            for result in self.operators[j].push(block, port):
                self._emit(j, result)


def canonical(node: Node) -> list[Any]:
    """Return a node as plain JSON: everything that defines its values, at any sampling rate.

    Scalar parameters with their default values are left out. Therefore a new parameter does
    not change the form of existing nodes, and a changed default needs a new `version`. All
    nodes that are read are included in full.

    Returns
    -------
    list
        1. name of the class;
        2. its version;
        3. parameters that differ from their defaults, by name;
        4. fields that are nodes, by name;
        5. inputs that are not fields, in order;
        6. digest of the class's source, only for imported classes.
    """
    kind = type(node)
    scalars, nodes = {}, {}
    made: dict[Node, Any] = {}  # most nodes are field and input: convert once
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
    """Yield a node and everything that it reads, at any depth, once per reader."""
    yield node
    for source in node.inputs():
        yield from walk(source)


def samples_of(node: Node) -> set[Samples]:
    """Return the nodes of samples from which a node is computed.

    What such nodes are computed from themselves is not included.
    """
    if isinstance(node, Samples):
        return {node}
    return {samples for source in node.inputs() for samples in samples_of(source)}


def reading(node: NodeType, samples: Samples) -> NodeType:
    """Return a copy of a node that reads other samples instead of the signal.

    Parameters
    ----------
    node : Node
        Node that reads the signal, at any depth of its fields.
    samples : Samples
        Samples that it reads instead.
    """
    changes: dict[str, Node] = {}
    for field in fields(node):  # type: ignore[arg-type]
        value = getattr(node, field.name)
        if isinstance(value, Signal):
            changes[field.name] = samples
        elif isinstance(value, Node):
            changes[field.name] = reading(value, samples)
    return replace(node, **changes)  # type: ignore[type-var]
