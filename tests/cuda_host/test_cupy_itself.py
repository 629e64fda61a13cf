"""What the CUDA backend asks of CuPy is there in the CuPy that is installed; needs no GPU and no driver."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import pytest
from onepass.backends.cuda import cublas as cupy_products
from onepass.backends.cuda import nvrtc as cupy_modules
from recorded_cupy import Recorder

pytestmark = pytest.mark.needs(name="CuPy")

SOURCE = """
extern "C" __global__ void multiply(float* out, const float* a) { out[threadIdx.x] *= a[threadIdx.x]; }
"""


@pytest.fixture
def cupy() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CuPy warns of libraries that are missing
        return importlib.import_module("cupy")


@pytest.fixture
def nvrtc(cupy: Any) -> Any:
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:  # CuPy says in its own way that a library is not there
        pytest.skip(f"needs NVRTC: {error}")
    return cupy.cuda.nvrtc


def test_has_what_the_stand_in_offers(cupy: Any) -> None:
    stand_in = Recorder().module()
    for place in ("", "cuda", "cuda.driver", "cuda.nvrtc", "cuda.runtime", "_core", "_core._routines_linalg"):
        offered, there = stand_in, cupy
        for name in filter(None, place.split(".")):
            offered, there = getattr(offered, name), getattr(there, name)
        # What the stand-in keeps for itself has no counterpart.
        own = {"cublas", "compiled", "open", "sources", "supported"}
        names = {name for name in dir(offered) if not name.startswith("_")} - own
        assert names
        assert not {name for name in names if not hasattr(there, name)}
    assert {"is_capturing", "begin_capture", "end_capture"} <= {*dir(cupy.cuda.Stream)}
    assert cupy.cuda.Stream.null.ptr == 0
    assert {"launch", "upload"} <= {*dir(cupy.cuda.Graph)}
    assert {"load", "get_function"} <= {*dir(cupy.cuda.Module)}
    assert {"ptr", "__call__"} <= {*dir(cupy.cuda.Function)}
    assert {"ptr", "memset_async"} <= {*dir(cupy.cuda.MemoryPointer)}
    assert {"compute_capability", "attributes"} <= {*dir(cupy.cuda.Device)}
    assert (cupy._core._routines_linalg.COMPUTE_TYPE_PEDANTIC, cupy.cuda.runtime.CUDA_R_64F) == (2, 1)
    assert cupy._core.get_compute_type(cupy.dtype("float64")) == 1


@pytest.mark.parametrize(
    ("argument", "dtype"),
    [(0, "int64"), (-1, "int64"), (2**40, "int64"), (2**63, "uint64"), (0.1, "float64"), (True, "bool")],
)
def test_arguments_of_a_kernel_have_the_size_that_is_assumed(cupy: Any, argument: Any, dtype: str) -> None:
    assert importlib.import_module("cupy._core._scalar").CScalar(argument).dtype == dtype


def test_compiles(nvrtc: Any) -> None:
    assert cupy_modules._compile(nvrtc, SOURCE, 90).startswith(b"\x7fELF")
    with pytest.raises(RuntimeError, match=r'identifier "nonsense" is undefined'):
        cupy_modules._compile(nvrtc, SOURCE.replace("*=", "= nonsense *"), 90)


def test_subnormal_numbers_are_kept(nvrtc: Any) -> None:
    text = cupy_modules._compile(nvrtc, SOURCE, 999).decode()
    assert "mul.f32" in text.replace("mul.rn.f32", "mul.f32")
    assert ".ftz" not in text


def test_a_product_and_a_sum_are_rounded_each(nvrtc: Any) -> None:
    text = cupy_modules._compile(nvrtc, SOURCE.replace("*=", "+= 3.0f *"), 999).decode()
    assert "mul" in text
    assert "add" in text
    assert "fma" not in text


def test_finds_the_library_that_cupy_multiplies_with(cupy: Any) -> None:
    try:
        cublas = cupy.cuda.cublas
    except ImportError as error:
        pytest.skip(f"needs cuBLAS: {error}")
    stand_in = {name for name in vars(Recorder().module().cuda.cublas) if not name.startswith("_")}
    assert stand_in <= {*dir(cublas)}
    assert [cublas.CUBLAS_COMPUTE_32F, cublas.CUBLAS_COMPUTE_64F_PEDANTIC] == [68, 71]
    assert [cublas.CUBLAS_COMPUTE_32F_FAST_16BF, cublas.CUBLAS_COMPUTE_32F_FAST_TF32] == [75, 77]
    # Without a driver there is no handle, and the library itself says so; CuPy's wrapper looks for a driver.
    with pytest.raises(cublas.CUBLASError, match="CUBLAS_STATUS_NOT_INITIALIZED"):
        cupy_products._gemm(cupy)(0, 0, (0, 0), *range(18))
