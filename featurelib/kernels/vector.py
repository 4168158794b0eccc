"""Vectors of `LANES` numbers that numba compiles: each lane works on a frame of its own.

Numba leaves it to LLVM to find what can go into vector registers, and LLVM gives up where
it cannot prove that arrays do not overlap, or where a frame's values hang on each other
one by one, as running sums do. With one frame a lane every operation is a vector's, in the
order in which it would be done for one frame. LLVM cuts the vectors to what the machine
has: one register with AVX-512, two with AVX2, four with SSE or NEON.

The operators ``+ - * /`` take two vectors of one type. Memory is addressed by the number
of the first element in a C-contiguous array of any shape.

Numba's cache on disk knows of changes in a kernel's own file only: after an edit of this
file, `featurelib.warm_up` with ``anew=True`` makes it forget, as each run of changed code
does by itself.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, njit, types
from numba.core import cgutils
from numba.extending import models, overload, register_model

#: Lanes of every vector, and so frames that are worked on at once.
LANES = 8

_CACHE_LINE = 64

_I32 = ir.IntType(32)

#: Not for type checkers, who would ask calls for the argument that the compiler adds.
intrinsic: Any = extending.intrinsic


class Vector(types.Type):
    """Numba's type of a vector."""

    def __init__(self, name: str, element: ir.Type, bits: int) -> None:
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


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any, vector: Vector) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.ir.as_pointer())


@intrinsic
def load(typing_context: Any, x: Any, start: Any) -> Any:
    """Elements of x from the `start`-th on."""
    vector = _VECTOR_OF[x.dtype]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _place(context, builder, signature.args[0], args[0], args[1], vector)
        return builder.load(place, align=vector.bits // 8, typ=vector.ir)

    return vector(x, types.intp), codegen


@intrinsic
def store(typing_context: Any, x: Any, start: Any, value: Any) -> Any:
    """Put a vector into x, from the `start`-th element on."""
    vector = _VECTOR_OF[x.dtype]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _place(context, builder, signature.args[0], args[0], args[1], vector)
        builder.store(args[2], place, align=vector.bits // 8)
        return context.get_dummy_value()

    return types.void(x, types.intp, vector), codegen


@intrinsic
def splat(typing_context: Any, number: Any) -> Any:
    """One number in all lanes."""
    vector = _VECTOR_OF[number]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _everywhere(builder, vector, args[0])

    return vector(number), codegen


@intrinsic
def spread(typing_context: Any, x: Any, index: Any) -> Any:
    """The `index`-th element of x in all lanes; the index is not negative."""
    vector = _VECTOR_OF[x.dtype]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        element = builder.load(builder.gep(data, [args[1]]))
        return _everywhere(builder, vector, element)

    return vector(x, types.intp), codegen


def _everywhere(builder: Any, vector: Vector, number: Any) -> Any:
    undefined = ir.Constant(vector.ir, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(_I32, 0))
    lanes = ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES)
    return builder.shuffle_vector(first, undefined, lanes)


def _instruction(name: str) -> Any:
    @intrinsic
    def function(typing_context: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, name)(*args)

        return a(a, b), codegen

    return function


def _register(symbol: Callable[[Any, Any], Any], function: Any) -> None:
    def call(a: Any, b: Any) -> Any:
        return function(a, b)

    @overload(symbol)
    def choose(a: Any, b: Any) -> Any:
        return call if isinstance(a, Vector) and a is b else None


for _symbol, _name in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _register(_symbol, _instruction(_name))


def _llvm(name: str, n_arguments: int) -> Callable[..., Any]:
    """A function of LLVM's that takes and returns vectors of one type."""

    def signed(a: Any) -> tuple[Any, Any]:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = ir.FunctionType(a.ir, [a.ir] * n_arguments)
            full_name = f"llvm.{name}.v{LANES}f{a.bits}"
            return builder.call(
                cgutils.get_or_insert_function(builder.module, kind, full_name), args
            )

        return a(*[a] * n_arguments), codegen

    return signed


@intrinsic
def sqrt(typing_context: Any, a: Any) -> Any:
    """Square root."""
    return _llvm("sqrt", 1)(a)


@intrinsic
def absolute(typing_context: Any, a: Any) -> Any:
    """Absolute value."""
    return _llvm("fabs", 1)(a)


@intrinsic
def muladd(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once where the machine can."""
    return _llvm("fmuladd", 3)(a)


@intrinsic
def mulsub(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b - c, rounded once where the machine can."""
    signature, multiply_add = _llvm("fmuladd", 3)(a)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        negated = [args[0], args[1], builder.fneg(args[2])]
        return multiply_add(context, builder, signature, negated)

    return signature, codegen


def _comparison(symbol: str) -> Any:
    def signed(a: Any) -> tuple[Any, Any]:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.fcmp_ordered(symbol, *args)

        return MASK(a, a), codegen

    return signed


@intrinsic
def less(typing_context: Any, a: Any, b: Any) -> Any:
    """Mask of the lanes in which a < b."""
    return _comparison("<")(a)


@intrinsic
def at_least(typing_context: Any, a: Any, b: Any) -> Any:
    """Mask of the lanes in which a >= b."""
    return _comparison(">=")(a)


@intrinsic
def both(typing_context: Any, a: Any, b: Any) -> Any:
    """Mask of the lanes of two masks."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.and_(*args)

    return MASK(MASK, MASK), codegen


@intrinsic
def bits(typing_context: Any, mask: Any) -> Any:
    """A mask as a number: lane l is bit l."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.zext(builder.bitcast(args[0], ir.IntType(LANES)), ir.IntType(64))

    return types.int64(MASK), codegen


@intrinsic
def select(typing_context: Any, mask: Any, a: Any, b: Any) -> Any:
    """Lanes of a where the mask is set, of b elsewhere."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return a(MASK, a, a), codegen


@intrinsic
def to_float32(typing_context: Any, a: Any) -> Any:
    """Rounded to float32."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fptrunc(args[0], FLOAT32.ir)

    return FLOAT32(FLOAT64), codegen


@intrinsic
def to_float64(typing_context: Any, a: Any) -> Any:
    """As float64, which it may be already."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return args[0] if a is FLOAT64 else builder.fpext(args[0], FLOAT64.ir)

    return FLOAT64(a), codegen


@intrinsic
def shifted(typing_context: Any, before: Any, a: Any) -> Any:
    """a one lane further, the last lane of `before` in its first."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes = list(range(LANES - 1, 2 * LANES - 1))
        return builder.shuffle_vector(*args, ir.Constant(ir.VectorType(_I32, LANES), lanes))

    return a(a, a), codegen


@intrinsic
def _split_exponent(typing_context: Any, a: Any) -> Any:
    """m in [√½, √2) and e of a = m · 2^e, for positive normal float32."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integers = ir.VectorType(_I32, LANES)

        def constant(number: int) -> Any:
            return ir.Constant(integers, [number] * LANES)

        word = builder.bitcast(args[0], integers)
        root_half = int(np.float32(np.sqrt(0.5)).view(np.int32))
        exponent = builder.ashr(builder.sub(word, constant(root_half)), constant(23))
        mantissa = builder.sub(word, builder.shl(exponent, constant(23)))
        pair = (
            builder.bitcast(mantissa, FLOAT32.ir),
            builder.sitofp(exponent, FLOAT32.ir),
        )
        return context.make_tuple(builder, signature.return_type, pair)

    return types.UniTuple(FLOAT32, 2)(FLOAT32), codegen


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array like `numpy.empty`'s whose vectors lie in one cache line each."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + _CACHE_LINE, np.uint8)
    start = -memory.__array_interface__["data"][0] % _CACHE_LINE
    return memory[start : start + size].view(dtype).reshape(shape)


@njit(nogil=True, forceinline=True)
def maximum(a: Any, b: Any) -> Any:
    """The larger of a and b, b where a is NaN."""
    return select(less(b, a), a, b)


@njit(nogil=True, forceinline=True)
def minimum(a: Any, b: Any) -> Any:
    """The smaller of a and b, b where a is NaN."""
    return select(less(a, b), a, b)


# Coefficients of Cephes' logf (S. Moshier): log(1 + x) - x + x²/2 = x³ P(x), highest first.
_LOG = tuple(
    np.float32(c)
    for c in (
        7.0376836292e-2,
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    )
)
# ln 2 in two parts, the first of few bits, so that its product with an exponent is exact.
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)


@njit(nogil=True, forceinline=True)
def log(a: Any) -> Any:
    """Natural logarithm of positive normal float32, to about a unit in the last place."""
    m, e = _split_exponent(a)
    x = m - splat(np.float32(1))
    square = x * x
    p = splat(_LOG[0])
    for c in _LOG[1:]:
        p = muladd(p, x, splat(c))
    y = x * square * p + e * splat(_LN2_LOW)
    return x + (y - splat(np.float32(0.5)) * square) + e * splat(_LN2_HIGH)
