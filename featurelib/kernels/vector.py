"""Vectors of `LANES` numbers for compiled kernels: each lane processes its own frame.

LLVM does not vectorise a loop if it cannot prove that arrays do not overlap, or if each value
of a frame depends on the one before, as in running sums. With one frame per lane, every
operation is a vector operation, and its order is the same as for a single frame. LLVM splits
a vector into the registers of the machine: one with AVX-512, two with AVX2, four with SSE or
NEON.

The operators ``+ - * /`` take two vectors of one type.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import overload

from featurelib.kernels.lanes import LANES
from featurelib.kernels.memory import (
    FLOAT32,
    FLOAT64,
    INT32,
    MASK,
    Vector,
    intrinsic,
    load,
    splat,
    spread,
    store,
)

__all__ = [
    "LANES",
    "absolute",
    "at_least",
    "bits",
    "both",
    "less",
    "load",
    "log",
    "magnitude",
    "maximum",
    "minimum",
    "muladd",
    "mulsub",
    "select",
    "shifted",
    "splat",
    "spread",
    "sqrt",
    "store",
    "to_float32",
    "to_float64",
    "transposed",
]


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
    """Return a function of LLVM that takes and returns vectors of one type."""

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
    """The mask as an integer: lane l is bit l."""

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
    """Converted to float64, if it is not float64 already."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return args[0] if a is FLOAT64 else builder.fpext(args[0], FLOAT64.ir)

    return FLOAT64(a), codegen


@intrinsic
def shifted(typing_context: Any, before: Any, a: Any) -> Any:
    """a moved by one lane; its first lane is the last lane of `before`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes = list(range(LANES - 1, 2 * LANES - 1))
        return builder.shuffle_vector(*args, ir.Constant(ir.VectorType(INT32, LANES), lanes))

    return a(a, a), codegen


#: Lanes of two vectors (of the second from `LANES` on) that each of three steps puts together,
#: for the first and the second of two results: pairs, fours, halves.
_TURNS = (
    ((0, 8, 1, 9, 4, 12, 5, 13), (2, 10, 3, 11, 6, 14, 7, 15)),
    ((0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15)),
    ((0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)),
)


@intrinsic
def transposed(
    typing_context: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any
) -> Any:
    """Vector l of the result has lane l of each of the `LANES` vectors."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def turned(x: Any, y: Any, step: int) -> list[Any]:
            kind = ir.VectorType(INT32, LANES)
            return [
                builder.shuffle_vector(x, y, ir.Constant(kind, lanes)) for lanes in _TURNS[step]
            ]

        pairs = [turned(args[i], args[i + 1], 0) for i in range(0, LANES, 2)]
        # fours[i] has lanes 0 to 3 of half the vectors, each beside lane + 4
        fours = [
            [four for k in range(2) for four in turned(pairs[i][k], pairs[i + 1][k], 1)]
            for i in (0, 2)
        ]
        halves = [turned(x, y, 2) for x, y in zip(*fours, strict=True)]
        columns = [half[0] for half in halves] + [half[1] for half in halves]
        return context.make_tuple(builder, signature.return_type, columns)

    return types.UniTuple(a, LANES)(*[a] * LANES), codegen


@intrinsic
def _split_exponent(typing_context: Any, a: Any) -> Any:
    """m in [√½, √2) and e of a = m · 2^e, for positive normal float32."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integers = ir.VectorType(INT32, LANES)

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


@njit(nogil=True, forceinline=True)
def maximum(a: Any, b: Any) -> Any:
    """The larger of a and b, b where a is NaN."""
    return select(less(b, a), a, b)


@njit(nogil=True, forceinline=True)
def minimum(a: Any, b: Any) -> Any:
    """The smaller of a and b, b where a is NaN."""
    return select(less(a, b), a, b)


@njit(nogil=True, forceinline=True)
def magnitude(re: Any, im: Any) -> Any:
    """Absolute value of a complex64, by the operations of NumPy's."""
    a, b = absolute(re), absolute(im)
    exchanged = less(a, b)
    larger, smaller = select(exchanged, b, a), select(exchanged, a, b)
    zero, one = splat(np.float32(0)), splat(np.float32(1))
    ratio = select(less(zero, larger), smaller / larger, zero)
    return larger * sqrt(muladd(ratio, ratio, one))


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
# ln 2 as a sum of two numbers. The first has few bits, so its product with an exponent is exact.
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
