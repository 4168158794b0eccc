"""The types of vectors of `LANES` numbers, and their loads from arrays and stores to arrays.

An address is the flat index of the first element in a C-contiguous array of any shape. Other
arrays are refused when a kernel is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core.errors import TypingError
from numba.extending import models, register_model

from featurelib.kernels.lanes import LANES

INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)

#: Any, because type checkers would require the argument that the compiler adds.
intrinsic: Any = extending.intrinsic


class Vector(types.Type):
    """Numba's type of a vector."""

    def __init__(self, name: str, element: ir.Type, bits: int) -> None:
        self.element = element
        self.ir = ir.VectorType(element, LANES)
        self.bits = bits
        super().__init__(name=f"{name}x{LANES}")


FLOAT32 = Vector("float32", ir.FloatType(), 32)
FLOAT64 = Vector("float64", ir.DoubleType(), 64)
MASK = Vector("mask", ir.IntType(1), 1)

_VECTOR_OF = {types.float32: FLOAT32, types.float64: FLOAT64}


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        super().__init__(dmm, fe_type, fe_type.ir)


def _vector_of(x: Any) -> Vector:
    """The vectors of an array's elements.

    Raises
    ------
    TypingError
        If the array is not C-contiguous, or its type is not float32 or float64.
    """
    if not isinstance(x, types.Array) or x.dtype not in _VECTOR_OF:
        raise TypingError(f"a vector needs an array of float32 or float64, not {x}")
    if x.layout != "C":
        raise TypingError(
            f"vectors need a C-contiguous array, and {x} need not be one:"
            " pass numpy.ascontiguousarray(x), or slice along the first axis only"
        )
    return _VECTOR_OF[x.dtype]


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Pointer to an element of an array."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.gep(data, [index], source_etype=_VECTOR_OF[kind.dtype].element)


def loader(context: Any, builder: Any, kind: Any, array: Any, start: Any) -> Callable[[int], Any]:
    """Return a function that writes code: it loads a vector, some elements after `start`."""
    vector = _vector_of(kind)
    first = _place(context, builder, kind, array, start)

    def get(offset: int) -> Any:
        place = first
        if offset:
            place = builder.gep(first, [ir.Constant(_INT64, offset)], source_etype=vector.element)
        # needed by LLVM versions with typed pointers; no effect with opaque pointers
        place = builder.bitcast(place, vector.ir.as_pointer())
        return builder.load(place, align=vector.bits // 8, typ=vector.ir)

    return get


def storer(
    context: Any, builder: Any, kind: Any, array: Any, start: Any
) -> Callable[[int, Any], None]:
    """Return a function that writes code: it stores a vector, some elements after `start`."""
    vector = _vector_of(kind)
    first = _place(context, builder, kind, array, start)

    def put(offset: int, value: Any) -> None:
        place = first
        if offset:
            place = builder.gep(first, [ir.Constant(_INT64, offset)], source_etype=vector.element)
        place = builder.bitcast(place, vector.ir.as_pointer())  # as in `loader`
        builder.store(value, place, align=vector.bits // 8)

    return put


@intrinsic
def load(typing_context: Any, x: Any, start: Any) -> Any:
    """Return `LANES` elements of x, from index `start`."""
    vector = _vector_of(x)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return loader(context, builder, signature.args[0], *args)(0)

    return vector(x, types.intp), codegen


@intrinsic
def store(typing_context: Any, x: Any, start: Any, value: Any) -> Any:
    """Store a vector in x, from index `start`."""
    vector = _vector_of(x)
    if not x.mutable:
        raise TypingError(f"vectors cannot be stored in {x}, which is read-only")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        storer(context, builder, signature.args[0], *args[:2])(0, args[2])
        return context.get_dummy_value()

    return types.void(x, types.intp, vector), codegen


@intrinsic
def splat(typing_context: Any, number: Any) -> Any:
    """One number in all lanes."""
    vector = _VECTOR_OF[number]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return everywhere(builder, vector, args[0])

    return vector(number), codegen


@intrinsic
def spread(typing_context: Any, x: Any, index: Any) -> Any:
    """The `index`-th element of x in all lanes; the index is not negative."""
    vector = _vector_of(x)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _place(context, builder, signature.args[0], args[0], args[1])
        element = builder.load(place, typ=vector.element)
        return everywhere(builder, vector, element)

    return vector(x, types.intp), codegen


def everywhere(builder: Any, vector: Vector, number: Any) -> Any:
    """Return a vector with a number in every lane."""
    undefined = ir.Constant(vector.ir, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(INT32, 0))
    lanes = ir.Constant(ir.VectorType(INT32, LANES), [0] * LANES)
    return builder.shuffle_vector(first, undefined, lanes)
