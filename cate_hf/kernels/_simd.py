"""Vectors of 8 or 16 float32 in numba, at raw addresses: what the kernels here are written in.

LLVM maps such a vector to what the processor has, one register of AVX-512, two of AVX2 or four of NEON. The arithmetic
is written down, rather than hoped for from the vectoriser, so results do not depend on it.

An address is an int64. No bounds are checked: callers check shapes.
"""

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, models, register_model

_F32, _I32, _I16, _I8 = ir.FloatType(), ir.IntType(32), ir.IntType(16), ir.IntType(8)
_CONTRACT = ("contract",)  # a product and a sum may become one fused operation


class Vector(types.Type):
    """`lanes` float32, or int32 where `integer`."""

    def __init__(self, lanes: int, integer: bool = False):
        self.lanes, self.integer = lanes, integer
        super().__init__(name=f"Vector({lanes}, {integer})")

    @property
    def llvm(self) -> ir.VectorType:
        return ir.VectorType(_I32 if self.integer else _F32, self.lanes)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, kind.llvm)


def _constant(kind: Vector, value) -> ir.Constant:
    return ir.Constant(kind.llvm, [value] * kind.lanes)


def _address(builder, value, kind: ir.Type):
    return builder.inttoptr(value, kind.as_pointer())


def _splat(builder, value, kind: Vector):
    single = builder.insert_element(ir.Constant(kind.llvm, ir.Undefined), value, ir.Constant(_I32, 0))
    zeros = ir.Constant(ir.VectorType(_I32, kind.lanes), [0] * kind.lanes)
    return builder.shuffle_vector(single, ir.Constant(kind.llvm, ir.Undefined), zeros)


def _call(builder, name: str, result: ir.Type, arguments: list, **options):
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(result, [argument.type for argument in arguments]), name
    )
    return builder.call(function, arguments, **options)


def _suffix(kind: Vector) -> str:
    return f"v{kind.lanes}{'i' if kind.integer else 'f'}32"


# Memory


@intrinsic
def scratch(typing, size):
    """Address of `size` bytes (a literal) on the stack, aligned to 64; one place for the whole of a call."""
    if not isinstance(size, types.IntegerLiteral):
        return None

    def codegen(context, builder, signature, arguments):
        kind = ir.ArrayType(_I8, size.literal_value)
        with builder.goto_entry_block():
            place = builder.alloca(kind)
            place.align = 64
        return builder.ptrtoint(place, ir.IntType(64))

    return types.int64(size), codegen


@intrinsic
def load(typing, lanes, address):
    """A vector of `lanes` (a literal) float32."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    kind = Vector(lanes.literal_value)

    def codegen(context, builder, signature, arguments):
        return builder.load(_address(builder, arguments[1], kind.llvm), align=4)

    return kind(lanes, types.int64), codegen


@intrinsic
def store(typing, address, vector):
    def codegen(context, builder, signature, arguments):
        builder.store(arguments[1], _address(builder, arguments[0], vector.llvm), align=4)
        return context.get_dummy_value()

    return types.none(types.int64, vector), codegen


@intrinsic
def load_bfloat16(typing, lanes, address):
    """A vector of `lanes` (a literal) bfloat16, as float32."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    kind = Vector(lanes.literal_value)

    def codegen(context, builder, signature, arguments):
        halves = builder.load(_address(builder, arguments[1], ir.VectorType(_I16, kind.lanes)), align=2)
        wide = builder.zext(halves, ir.VectorType(_I32, kind.lanes))
        shift = ir.Constant(ir.VectorType(_I32, kind.lanes), [16] * kind.lanes)
        return builder.bitcast(builder.shl(wide, shift), kind.llvm)

    return kind(lanes, types.int64), codegen


@intrinsic
def store_bfloat16(typing, address, vector):
    """Rounded to the nearest bfloat16, ties to even."""

    def codegen(context, builder, signature, arguments):
        integers = ir.VectorType(_I32, vector.lanes)

        def every(number):
            return ir.Constant(integers, [number] * vector.lanes)

        bits = builder.bitcast(arguments[1], integers)
        odd = builder.and_(builder.lshr(bits, every(16)), every(1))
        rounded = builder.lshr(builder.add(bits, builder.add(odd, every(0x7FFF))), every(16))
        halves = builder.trunc(rounded, ir.VectorType(_I16, vector.lanes))
        builder.store(halves, _address(builder, arguments[0], halves.type), align=2)
        return context.get_dummy_value()

    return types.none(types.int64, vector), codegen


@intrinsic
def load_one(typing, address):
    """A float32."""

    def codegen(context, builder, signature, arguments):
        return builder.load(_address(builder, arguments[0], _F32), align=4)

    return types.float32(types.int64), codegen


@intrinsic
def store_one(typing, address, number):
    def codegen(context, builder, signature, arguments):
        builder.store(arguments[1], _address(builder, arguments[0], _F32), align=4)
        return context.get_dummy_value()

    return types.none(types.int64, types.float32), codegen


@intrinsic
def argument(typing, arguments, index):
    """The int64 number `index` (a literal) of an array of them."""
    if not isinstance(index, types.IntegerLiteral):
        return None

    def codegen(context, builder, signature, values):
        place = _address(builder, values[0], ir.IntType(64))
        return builder.load(builder.gep(place, [ir.Constant(_I32, index.literal_value)]))

    return types.int64(types.int64, index), codegen


@intrinsic
def next_integer(typing, address):
    """The int64 there, which is then one more; no two threads get the same."""

    def codegen(context, builder, signature, arguments):
        integer = ir.IntType(64)
        place = _address(builder, arguments[0], integer)
        return builder.atomic_rmw("add", place, ir.Constant(integer, 1), "monotonic")

    return types.int64(types.int64), codegen


# Vectors


@intrinsic
def splat(typing, lanes, number):
    """A vector of `lanes` (a literal) times the same float32, or uint32."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    kind = Vector(lanes.literal_value, isinstance(number, types.Integer))
    scalar = types.uint32 if kind.integer else types.float32

    def codegen(context, builder, signature, arguments):
        return _splat(builder, arguments[1], kind)

    return kind(lanes, scalar), codegen


@intrinsic
def lane_numbers(typing, lanes):
    """0, 1, 2 … as integers."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    kind = Vector(lanes.literal_value, True)

    def codegen(context, builder, signature, arguments):
        return ir.Constant(kind.llvm, list(range(kind.lanes)))

    return kind(lanes), codegen


@intrinsic
def total(typing, vector):
    """The sum of the lanes, float32."""

    def codegen(context, builder, signature, arguments):
        name = f"llvm.vector.reduce.fadd.{_suffix(vector)}"
        start = ir.Constant(_F32, 0.0)
        return _call(builder, name, _F32, [start, arguments[0]], fastmath=("reassoc",))

    return types.float32(vector), codegen


@intrinsic
def maximum(typing, a, b):
    def codegen(context, builder, signature, arguments):
        greater = builder.fcmp_ordered(">", arguments[0], arguments[1])
        return builder.select(greater, arguments[0], arguments[1])

    return a(a, a), codegen


@intrinsic
def where_positive(typing, condition, vector):
    """The vector where the condition is above 0, or NaN, and 0 elsewhere."""

    def codegen(context, builder, signature, arguments):
        zero = _constant(vector, 0.0)
        return builder.select(builder.fcmp_unordered(">", arguments[0], zero), arguments[1], zero)

    return vector(vector, vector), codegen


@intrinsic
def where_not_below(typing, integers, bound, vector):
    """The vector where the integers, unsigned, are at least the bound, and 0 elsewhere."""

    def codegen(context, builder, signature, arguments):
        kept = builder.icmp_unsigned(">=", arguments[0], arguments[1])
        return builder.select(kept, arguments[2], _constant(vector, 0.0))

    return vector(integers, integers, vector), codegen


@intrinsic
def reverse_square_root(typing, number):
    """1 / sqrt of a float32."""

    def codegen(context, builder, signature, arguments):
        root = _call(builder, "llvm.sqrt.f32", _F32, [arguments[0]])
        return builder.fdiv(ir.Constant(_F32, 1.0), root)

    return types.float32(types.float32), codegen


# Chebyshev interpolation of 2^f on [-1/2, 1/2], relative error below 3e-9.
_POWERS: tuple[float, ...] = (1.5461444724808513e-4, 1.3400428177711937e-3, 9.61805667843204e-3, 5.550327226669895e-2)
_POWERS += (0.24022650922289554, 0.6931472067028329, 1.0)


@intrinsic
def exponential(typing, vector):
    """exp of a vector, of numbers up to 88; below -86 it is that of -86, 4.5e-38."""

    def codegen(context, builder, signature, arguments):
        def every(number):
            return _constant(vector, number)

        integers = ir.VectorType(_I32, vector.lanes)
        x = arguments[0]
        x = builder.select(builder.fcmp_ordered("<", x, every(-86.0)), every(-86.0), x)  # NaN stays
        scaled = builder.fmul(x, every(1.4426950408889634))
        magic = every(12582912.0)  # 1.5 × 2^23: what is added to it is rounded to an integer
        shifted = builder.fadd(scaled, magic)
        whole = builder.fsub(shifted, magic)
        # The remainder in two steps, from x itself: scaled has lost bits of it.
        rest = builder.fsub(x, builder.fmul(whole, every(0.693359375), flags=_CONTRACT), flags=_CONTRACT)
        rest = builder.fadd(rest, builder.fmul(whole, every(2.12194440e-4), flags=_CONTRACT), flags=_CONTRACT)
        fraction = builder.fmul(rest, every(1.4426950408889634))
        power = every(_POWERS[0])
        for coefficient in _POWERS[1:]:
            power = builder.fmul(power, fraction, flags=_CONTRACT)
            power = builder.fadd(power, every(coefficient), flags=_CONTRACT)
        exponent = builder.shl(builder.bitcast(shifted, integers), ir.Constant(integers, [23] * vector.lanes))
        return builder.bitcast(builder.add(builder.bitcast(power, integers), exponent), vector.llvm)

    return vector(vector), codegen


# a + b and the like, of two vectors of one kind.
_FLOATS = {operator.add: "fadd", operator.sub: "fsub", operator.mul: "fmul", operator.truediv: "fdiv"}
_INTEGERS = {operator.add: "add", operator.mul: "mul", operator.xor: "xor", operator.rshift: "lshr"}


class _OfOneKind(AbstractTemplate):
    def generic(self, arguments, keywords):
        a, b = arguments
        if isinstance(a, Vector) and a == b and self.key in (_INTEGERS if a.integer else _FLOATS):
            return signature(a, a, b)
        return None


def _define(function) -> None:
    infer_global(function)(type(f"_{function.__name__}", (_OfOneKind,), {}))

    @lower_builtin(function, Vector, Vector)
    def lower(context, builder, signature, arguments):
        if signature.return_type.integer:
            return getattr(builder, _INTEGERS[function])(*arguments)
        return getattr(builder, _FLOATS[function])(*arguments, flags=_CONTRACT)


for _function in _FLOATS | _INTEGERS:
    _define(_function)
