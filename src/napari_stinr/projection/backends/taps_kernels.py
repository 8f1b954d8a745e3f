"""Operations of the compiled kernels as vector instructions: add a voxel to four cells, gather from four, and others.

The compiler turns loops over the lanes of one array into vector instructions by itself, but not these, in which four
pieces of a line overlap. Sixteen lanes are one vector of LLVM, which makes of it what the processor has.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from napari_stinr.projection.backends import ROWS_TOGETHER

LANES = ROWS_TOGETHER
"""Detector rows that share one vector."""

_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_ALL_OF_ONE = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
_FAST = ("fast",)
_BYTES_OF_A_FLOAT = 4
_WEIGHTS = [types.float32] * 4


def _add_to_cells(
    typing: Any, line: Any, cell: Any, values: Any, voxel: Any, w0: Any, w1: Any, w2: Any, w3: Any
) -> Any:
    """Add LANES values from index `voxel` on, times four weights, to four times LANES cells from index `cell` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = _loaded(builder, _place(context, builder, signature, arguments, 2, arguments[3]))
        for tap in range(4):
            place = _place(context, builder, signature, arguments, 0, _further(builder, arguments[1], tap))
            weighted = builder.fmul(_in_all_lanes(builder, arguments[4 + tap]), value, flags=_FAST)
            _store(builder, builder.fadd(weighted, _loaded(builder, place), flags=_FAST), place)
        return context.get_dummy_value()

    return types.void(line, types.intp, values, types.intp, *_WEIGHTS), generate


def _gather_from_cells(
    typing: Any, line: Any, cell: Any, values: Any, voxel: Any, w0: Any, w1: Any, w2: Any, w3: Any
) -> Any:
    """Set LANES values from `voxel` on to the sum of four times LANES cells from `cell` on, times four weights."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature, arguments, 2, arguments[3])
        _store(builder, _gathered(context, builder, signature, arguments), place)
        return context.get_dummy_value()

    return types.void(line, types.intp, values, types.intp, *_WEIGHTS), generate


def _add_from_cells(
    typing: Any, line: Any, cell: Any, values: Any, voxel: Any, w0: Any, w1: Any, w2: Any, w3: Any
) -> Any:
    """Add to LANES values what :func:`_gather_from_cells` sets them to."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature, arguments, 2, arguments[3])
        gathered = _gathered(context, builder, signature, arguments)
        _store(builder, builder.fadd(gathered, _loaded(builder, place), flags=_FAST), place)
        return context.get_dummy_value()

    return types.void(line, types.intp, values, types.intp, *_WEIGHTS), generate


def _product_of_lanes(typing: Any, weights: Any, first: Any, values: Any, voxel: Any) -> Any:
    """Return the sum of LANES weights from index `first` on, times values from `voxel` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        weight = _loaded(builder, _place(context, builder, signature, arguments, 0, arguments[1]))
        value = _loaded(builder, _place(context, builder, signature, arguments, 2, arguments[3]))
        total, half = builder.fmul(weight, value, flags=_FAST), LANES // 2
        while half:
            places = [ir.Constant(ir.IntType(32), (lane + half) % LANES) for lane in range(LANES)]
            turned = builder.shuffle_vector(total, total, ir.Constant(ir.VectorType(ir.IntType(32), LANES), places))
            total, half = builder.fadd(total, turned, flags=_FAST), half // 2
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return types.float32(weights, types.intp, values, types.intp), generate


# Those that use them have no types, and need not give the first argument.
add_to_cells: Any = intrinsic(_add_to_cells)
gather_from_cells: Any = intrinsic(_gather_from_cells)
add_from_cells: Any = intrinsic(_add_from_cells)
product_of_lanes: Any = intrinsic(_product_of_lanes)


def _gathered(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    total = None
    for tap in range(4):
        place = _place(context, builder, signature, arguments, 0, _further(builder, arguments[1], tap))
        weight = _in_all_lanes(builder, arguments[4 + tap])
        weighted = builder.fmul(weight, _loaded(builder, place), flags=_FAST)
        total = weighted if total is None else builder.fadd(total, weighted, flags=_FAST)
    return total


def _place(context: Any, builder: Any, signature: Any, arguments: Any, which: int, index: Any) -> Any:
    """Pointer to a vector from an index of one of the arrays on."""
    array = context.make_array(signature.args[which])(context, builder, arguments[which])
    return builder.bitcast(builder.gep(array.data, [index]), _VECTOR.as_pointer())


def _further(builder: Any, cell: Any, tap: int) -> Any:
    return builder.add(cell, ir.Constant(ir.IntType(64), tap * LANES))


def _in_all_lanes(builder: Any, weight: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, weight, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, _ALL_OF_ONE)


def _loaded(builder: Any, place: Any) -> Any:
    vector = builder.load(place)
    vector.align = _BYTES_OF_A_FLOAT
    return vector


def _store(builder: Any, vector: Any, place: Any) -> None:
    builder.store(vector, place).align = _BYTES_OF_A_FLOAT
