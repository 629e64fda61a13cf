"""Functions as users of NumPy write them, compiled for the CPU, against NumPy."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
from idioms import IDIOMS, Idiom
from same_results import assert_same

import onepass as op

# What has a result or takes a branch that depends on values.
NOT_COMPILED = {
    "clip_gradients": "bool(array)",  # Python's min of an array
    "lookup_integers_alone": "np.bincount",
}


@pytest.mark.parametrize("idiom", IDIOMS, ids=lambda idiom: idiom.name)
def test_an_idiom(idiom: Idiom) -> None:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, of the mean of no elements
        expected = idiom.function(*copy.deepcopy(idiom.args))
    kernel, args = op.kernel(idiom.function), copy.deepcopy(idiom.args)
    if why := NOT_COMPILED.get(idiom.name):
        with op.use_backend("numba"), pytest.raises(TypeError) as error:
            kernel(*args)
        assert why in str(error.value)
        return
    with op.use_backend("numba"):
        for _ in range(2):
            assert_same(kernel(*args), expected, idiom.tolerance)
    assert_same(args, idiom.args, 0.0)
