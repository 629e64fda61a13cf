"""Exponentials and logarithms without branches or calls, so that LLVM vectorises loops that use them.

`exp_float32`, `log1p_float64` and so on take and return one value of the dtype in their name. They write
their instructions into the function that uses them, with flags of their own: contraction to fused
multiply-add and nothing else, because reassociation would undo the measures against rounding errors.

Arguments are reduced as in W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980: a
multiple of log 2 is subtracted in two parts. The logarithms add their terms in the order of FreeBSD's msun
(e_log.c, s_log1p.c). The polynomials are our own minimax fits (Remez, 50 digits). The errors given are upper
bounds, in units in the last place of the exact result, of those seen over the whole range, with and without
FMA.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .operations import (
    copysign,
    exponent_and_mantissa,
    fabs,
    inverse_power_of_two_below,
    polynomial,
    power_of_two,
    select,
    times_power_of_two,
)
from .writer import flagged

Number = Any  # a value of float32 or float64

LN2, LOG2_E, LOG10_E = 0.6931471805599453, 1.4426950408889634, 0.4342944819032518
# In two parts: the first has so few bits that its product with an exponent is exact.
LN2_PARTS = {
    "float32": (0.693359375, -2.1219444005469057e-4),
    "float64": (6.93147180369123816490e-01, 1.9082149292705877e-10),
}
LOG10_2_PARTS = {
    "float32": (0.301025390625, 4.605038981195214e-06),
    "float64": (3.01029995663611771306e-01, 3.694239077158931e-13),
}
# log2(e) - 1 and log10(e) - 1/2: products with 1 and 1/2 are exact, so only the small rest is rounded.
LOG2_E_REST, LOG10_E_REST = 0.4426950408889634, -0.06570551809674817

# (e^r - 1 - r) / r^2 for |r| <= log(2) / 2; for exp
EXP_SERIES = {
    "float32": (
        *(0.4999999403953552, 0.1666652113199234, 0.04166838899254799),
        *(0.008368714712560177, 0.0013814602280035615),
    ),
    "float64": (
        *(0.500000000000001, 0.16666666666666674, 0.041666666666522016, 0.00833333333332221),
        *(0.0013888888947812474, 0.00019841269886584526, 2.4801487335535664e-05),
        *(2.7557242344003566e-06, 2.763265216957956e-07, 2.5110047135431714e-08),
    ),
}
# The same with a smaller error for small r; for e^r - 1.
EXPM1_SERIES = {
    "float32": (
        *(0.5, 0.1666666716337204, 0.041666239500045776),
        *(0.00833328627049923, 0.0013948590494692326, 0.00019907581736333668),
    ),
    "float64": (
        *(0.5, 0.16666666666666677, 0.04166666666666651, 0.008333333333321693),
        *(0.001388888888896235, 0.0001984126988595988, 2.4801587172570628e-05, 2.7557244380987806e-06),
        *(2.7557402624002274e-07, 2.5108976282830074e-08, 2.0875333090189367e-09),
    ),
}
# (log(1 + f) - f) / f^2 for sqrt(1/2) <= 1 + f <= sqrt(2)
LOG_SERIES_FLOAT32 = tuple(
    map(
        np.float32,
        (
            *(-0.5, 0.3333333134651184, -0.2500081956386566, 0.20001226663589478, -0.16623356938362122),
            *(0.14201757311820984, -0.13160181045532227, 0.1276157945394516, -0.07634502649307251),
        ),
    )
)
# (2 atanh(s) / s - 2) / s^2 as a function of s^2, for s = f / (2 + f) and the same f
LOG_SERIES_FLOAT64 = (
    *(0.666666666666671, 0.39999999999519825, 0.285714287292847, 0.22222199090903028),
    *(0.1818357154066378, 0.15313164388097097, 0.14810519860256985),
)


def _exponentials(dtype: str, bounds: dict[str, tuple[float, float]]) -> tuple[Any, Any, Any, Any, Any]:
    """exp, exp for x <= 0 only, exp2, expm1 and tanh of one dtype.

    bounds: the values of x beyond which each function rounds to its limit
    """
    real, information = np.dtype(dtype).type, np.finfo(dtype)
    one, two, half = real(1), real(2), real(0.5)
    ln2, log2_e = real(LN2), real(LOG2_E)
    ln2_high, ln2_low = map(real, LN2_PARTS[dtype])
    exp_series, expm1_series = tuple(map(real, EXP_SERIES[dtype])), tuple(map(real, EXPM1_SERIES[dtype]))
    exp_low, exp_high = map(real, bounds["exp"])
    exp2_low, exp2_high = map(real, bounds["exp2"])
    expm1_low, expm1_high = map(real, bounds["expm1"])
    tanh_high = real(bounds["tanh"][1])
    identity_below = real(information.eps / 4)  # below it expm1(x) and tanh(x) round to x
    # Adding 1.5 * 2^(mantissa bits) rounds to a whole number and leaves it in the lowest bits. The bias of
    # the exponent is added too, so these bits only have to be shifted into the place of the exponent.
    magic, bias = 1.5 * 2.0**information.nmant, 1 - int(information.minexp)
    shift_of_product, shift_of_half = real(magic + 2 * bias), real(magic + bias - 1)
    # Times 2^lift, even the smallest result is a normal number.
    lift = bias // 2
    shift_of_lifted, drop = real(magic + bias + lift), real(2.0**-lift)

    @flagged("contract ")
    def exp_nonpositive(x: Number) -> Number:
        """e^x for x <= 0, or NaN. error: <= 1.05 ulp in float32, <= 1.05 ulp in float64"""
        x = select(x < exp_low, exp_low, x)
        shifted = x * log2_e + shift_of_lifted
        whole = shifted - shift_of_lifted
        rest = (x - whole * ln2_high) - whole * ln2_low
        scale = power_of_two(shifted)
        return (scale + scale * (rest + rest * rest * polynomial(rest, exp_series))) * drop

    @flagged("contract ")
    def exp(x: Number) -> Number:
        """e^x. error: <= 1.05 ulp in float32, <= 1.05 ulp in float64"""
        x = select(x > exp_high, exp_high, x)
        x = select(x < exp_low, exp_low, x)
        shifted = x * log2_e + shift_of_product
        whole = shifted - shift_of_product
        rest = (x - whole * ln2_high) - whole * ln2_low
        return times_power_of_two(one + (rest + rest * rest * polynomial(rest, exp_series)), shifted)

    @flagged("contract ")
    def exp2(x: Number) -> Number:
        """2^x. error: <= 1.05 ulp in float32, <= 1.05 ulp in float64"""
        x = select(x > exp2_high, exp2_high, x)
        x = select(x < exp2_low, exp2_low, x)
        shifted = x + shift_of_product
        rest = (x - (shifted - shift_of_product)) * ln2
        return times_power_of_two(one + (rest + rest * rest * polynomial(rest, exp_series)), shifted)

    @flagged("contract ")
    def half_expm1(x: Number) -> tuple[Number, Number]:
        """(e^x - 1) / 2 as a sum of two numbers, the second smaller."""
        shifted = x * log2_e + shift_of_half
        whole = shifted - shift_of_half
        high, low = x - whole * ln2_high, whole * ln2_low
        rest = high - low
        lost = (high - rest) - low
        curve = rest * rest * polynomial(rest, expm1_series) + (lost + lost * rest)
        # Use 2^n / 2, because 2^n overflows before the result does.
        scale = power_of_two(shifted)
        offset, slope = scale - half, scale * rest
        total = offset + slope
        return total, (slope - (total - offset)) + scale * curve

    @flagged("contract ")
    def expm1(x: Number) -> Number:
        """e^x - 1. error: <= 1.15 ulp in float32, <= 1.15 ulp in float64"""
        clamped = select(x > expm1_high, expm1_high, x)
        total, rest = half_expm1(select(clamped < expm1_low, expm1_low, clamped))
        return select(fabs(x) < identity_below, x, two * (total + rest))

    @flagged("contract ")
    def tanh(x: Number) -> Number:
        """(e^2x - 1) / (e^2x + 1). error: <= 1.35 ulp in float32, <= 1.20 ulp in float64"""
        size = fabs(x)
        total, rest = half_expm1(two * select(size > tanh_high, tanh_high, size))
        numerator = total + rest
        denominator = one + numerator
        # Correct for the rounding of both, to first order in the quotient; 1 / denominator = 1 - quotient.
        numerator_lost = (total - numerator) + rest
        larger, smaller = select(numerator > one, numerator, one), select(numerator > one, one, numerator)
        denominator_lost = (smaller - (denominator - larger)) + numerator_lost
        quotient = numerator / denominator
        correction = (numerator_lost - quotient * denominator_lost) * (one - quotient)
        return select(size < identity_below, x, copysign(quotient + correction, x))

    return exp, exp_nonpositive, exp2, expm1, tanh


def _logarithms(dtype: str, curve: Any) -> tuple[Any, Any, Any, Any]:
    """log, log2, log10 and log1p of one dtype, from curve(f) = log(1 + f) - f."""
    real, information = np.dtype(dtype).type, np.finfo(dtype)
    zero, half, one, infinity, nan = real(0), real(0.5), real(1), real(np.inf), real(np.nan)
    ln2_high, ln2_low = map(real, LN2_PARTS[dtype])
    log10_2_high, log10_2_low = map(real, LOG10_2_PARTS[dtype])
    log2_e, log2_e_rest = real(LOG2_E), real(LOG2_E_REST)
    log10_e, log10_e_rest = real(LOG10_E), real(LOG10_E_REST)
    smallest_normal = real(information.smallest_normal)
    lift, lift_exponent = real(2.0 ** (information.nmant + 1)), real(information.nmant + 1)
    one_is_lost = real(2.0**64)  # 1 + x rounds to x from here on

    @flagged("contract ")
    def with_limits(x: Number, logarithm: Number) -> Number:
        """The logarithm for x > 0; -inf at 0, NaN below 0, inf and NaN for themselves."""
        finite = select(x > zero, logarithm, select(x == zero, -infinity, nan))
        return select(x < infinity, finite, x)

    @flagged("contract ")
    def reduced(x: Number) -> tuple[Number, Number]:
        """(k, f) with x = 2^k (1 + f)."""
        subnormal = x < smallest_normal
        exponent, mantissa = exponent_and_mantissa(select(subnormal, x * lift, x))
        return exponent - select(subnormal, lift_exponent, zero), mantissa - one

    @flagged("contract ")
    def log(x: Number) -> Number:
        """The natural logarithm. error: <= 0.95 ulp in float32, <= 0.95 ulp in float64"""
        k, f = reduced(x)
        return with_limits(x, k * ln2_high + (f + (k * ln2_low + curve(f))))

    @flagged("contract ")
    def log2(x: Number) -> Number:
        """The logarithm to base 2. error: <= 1.45 ulp in float32, <= 1.30 ulp in float64"""
        k, f = reduced(x)
        return with_limits(x, k + (f + (f * log2_e_rest + curve(f) * log2_e)))

    @flagged("contract ")
    def log10(x: Number) -> Number:
        """The logarithm to base 10. error: <= 1.30 ulp in float32, <= 1.25 ulp in float64"""
        k, f = reduced(x)
        small = k * log10_2_low + (f * log10_e_rest + curve(f) * log10_e)
        return with_limits(x, k * log10_2_high + (f * half + small))

    @flagged("contract ")
    def log1p(x: Number) -> Number:
        """log(1 + x). error: <= 1.05 ulp in float32, <= 1.05 ulp in float64"""
        larger, smaller = select(x > one, x, one), select(x > one, one, x)
        y = larger + smaller
        lost = smaller - (y - larger)
        k, mantissa = exponent_and_mantissa(y)
        near = mantissa - one
        added = select(y < one_is_lost, lost * inverse_power_of_two_below(y), zero)
        f = near + added
        f_lost = (near - f) + added
        logarithm = with_limits(y, k * ln2_high + (f + (k * ln2_low + (curve(f) + f_lost))))
        return select(x == zero, x, logarithm)  # keeps the sign of -0.0

    return log, log2, log10, log1p


@flagged("contract ")
def _curve_float32(f: Number) -> Number:
    return f * f * polynomial(f, LOG_SERIES_FLOAT32)


@flagged("contract ")
def _curve_float64(f: Number) -> Number:
    # A polynomial in f needs 20 terms; with one division 7 are enough.
    s = f / (f + 2.0)
    square, half_square = s * s, 0.5 * f * f
    return s * (half_square + square * polynomial(square, LOG_SERIES_FLOAT64)) - half_square


exp_float32, exp_nonpositive_float32, exp2_float32, expm1_float32, tanh_float32 = _exponentials(
    "float32", {"exp": (-105, 89.5), "exp2": (-151, 129), "expm1": (-20, 88.8), "tanh": (-10, 10)}
)
exp_float64, exp_nonpositive_float64, exp2_float64, expm1_float64, tanh_float64 = _exponentials(
    "float64", {"exp": (-746, 710.5), "exp2": (-1076, 1025), "expm1": (-40, 709.9), "tanh": (-20, 20)}
)
log_float32, log2_float32, log10_float32, log1p_float32 = _logarithms("float32", _curve_float32)
log_float64, log2_float64, log10_float64, log1p_float64 = _logarithms("float64", _curve_float64)

# By operation (of the array API, or `exp_nonpositive`) and dtype: the name of the function in this file.
VECTOR_MATH = {
    (operation, dtype): f"{operation}_{dtype}"
    for operation in ("exp", "exp_nonpositive", "exp2", "expm1", "log", "log10", "log1p", "log2", "tanh")
    for dtype in ("float32", "float64")
}
