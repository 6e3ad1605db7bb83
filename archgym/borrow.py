"""Arrays lent to compiled functions without reference counts.

Numba counts references: each array bound to a name, as an argument or in an inlined function, costs an
atomic increment and decrement, and each index a test for a negative one. Where a state machine of many small
functions shares its state, that is several times its own work. ``borrow`` gives such functions a bare pointer
that is indexed like the array: ``B[row, column]``, ``K[i]``.

The price: nobody keeps the memory alive but the caller, who must hold the array until the borrower has
returned, and no index is checked. So borrow only in a kernel's entry, from its own arguments.
"""

from __future__ import annotations

import operator
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.extending import intrinsic, lower_builtin, overload, register_model
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.np.arrayobj import make_array

Number = TypeVar("Number", np.int64, np.float64)

_INT64 = ir.IntType(64)


class Borrowed(types.Type):
    """Numba's type of a borrowed array: one-dimensional if ``columns`` is 0, else two-dimensional."""

    def __init__(self, dtype: Any, columns: int) -> None:
        self.dtype = dtype
        self.columns = columns
        super().__init__(name=f"Borrowed({dtype}, {columns})")


@register_model(Borrowed)
class _BorrowedModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Borrowed) -> None:
        super().__init__(dmm, fe_type, dmm.lookup(fe_type.dtype).get_data_type().as_pointer())


def borrow(array: npt.NDArray[Number], columns: int) -> npt.NDArray[Number]:
    """A pointer to a C-contiguous int64 or float64 array, inside a kernel; the array itself elsewhere.

    Args:
        array: (n,) if ``columns`` is 0, else (n, columns).
        columns: a constant.
    """
    return array


@overload(borrow, inline="always", prefer_literal=True)
def _borrow(array: Any, columns: Any) -> Any:
    def implementation(array: Any, columns: Any) -> Any:
        return _data(array, columns)  # type: ignore[call-arg]

    return implementation


@intrinsic(prefer_literal=True)
def _data(typing: Any, array: Any, columns: Any) -> Any:
    assert array.dtype in (types.int64, types.float64), "borrow: expected an int64 or float64 array"
    assert array.layout == "C", "borrow: expected a C-contiguous array"
    assert array.ndim == (2 if columns.literal_value else 1), "borrow: columns do not fit the array's dimensions"

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return make_array(signature.args[0])(context, builder, args[0]).data

    return Borrowed(array.dtype, columns.literal_value)(array, columns), generate


def _index_type(borrowed: Borrowed) -> Any:
    return types.UniTuple(types.int64, 2) if borrowed.columns else types.int64


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], Borrowed):
            return signature(args[0].dtype, args[0], _index_type(args[0]))
        return None


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], Borrowed):
            return signature(types.none, args[0], _index_type(args[0]), args[0].dtype)
        return None


def _address(builder: Any, borrowed: Borrowed, pointer: Any, index: Any) -> Any:
    if borrowed.columns:
        row, column = cgutils.unpack_tuple(builder, index, 2)
        index = builder.add(builder.mul(row, ir.Constant(_INT64, borrowed.columns)), column)
    return builder.gep(pointer, [index])


@lower_builtin(operator.getitem, Borrowed, types.Any)
def _load(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.load(_address(builder, signature.args[0], *args))


@lower_builtin(operator.setitem, Borrowed, types.Any, types.Any)
def _store(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    builder.store(args[2], _address(builder, signature.args[0], *args[:2]))
    return context.get_dummy_value()
