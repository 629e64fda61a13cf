"""How kernels are run. Nothing in here knows the name of a kernel.

This module is the facade of the backends: it lists all that the public API uses, and the public API imports
nothing else of them. llvmlite, CuPy and MPI are imported on first use (see `compilers`).
"""

from importlib import import_module as _import_module
from pathlib import Path as _Path
from typing import TYPE_CHECKING
from typing import Any as _Any

from .choice import chosen_backend, require_arrays_of, use_backend
from .common import notebook
from .common.bounds import bounds
from .common.caller_warnings import warn
from .common.forks import compile_lock as _compile_lock
from .common.libraries import (
    can_be_read,
    device_context,
    device_of,
    device_to_enter,
    is_current_device,
    is_half,
    is_real_array,
    is_transformed_tensor,
    kind_of,
    library_of,
    on_different_devices,
)
from .common.out_arrays import ArraySpec, OutArrays, has_internal_overlap
from .common.precision import use_precision
from .common.static_values import is_static
from .common.trees import fields_of, is_record, leaves, map_leaves, named_leaves, with_fields
from .compilers import (
    COMPILED_DTYPES,
    COMPILING_CHOICES,
    compile_for_cpu,
    compile_for_gpu,
    describe_cpu_backend,
    explanation_of,
    use_openmp_of,
)
from .eager import astype, is_running_eagerly, run_eagerly, run_in_float32, widen_half
from .planned import Planned, PlannedCalls, PlannedKernel
from .registry import Backend, NotUsableError, backends, cpu_why_not, not_usable
from .signatures import is_compared_by_identity, signature_of, signature_of_call
from .specializations import CannotCompileError, Specializations
from .trace.indices import checks_are_on
from .trace.marks import is_differentiating, stopped
from .trace.symbolic import SymbolicArray, WritesArgumentError, check_in_every_call, current_trace
from .trace.trace import by_parameter, leaf_names, tracing

if TYPE_CHECKING:
    from .autodiff.calls import call_with_own_derivative
    from .autodiff.transform import value_and_gradients, vector_jacobian_product
    from .codegen.explain import Explanation
    from .distributed.collectives import Communicator, initialize
    from .interpreted import InterpretedProgram

FOLDER = _Path(__file__).parent

# Names whose modules few programs need. They are imported on first use.
_LAZY = {
    "Communicator": ".distributed.collectives",
    "InterpretedProgram": ".interpreted",
    "call_with_own_derivative": ".autodiff.calls",
    "initialize": ".distributed.collectives",
    "value_and_gradients": ".autodiff.transform",
    "vector_jacobian_product": ".autodiff.transform",
}


def __getattr__(name: str) -> _Any:
    if name in _LAZY:
        with _compile_lock:  # a fork during the import would leave a half imported module in the child
            return getattr(_import_module(_LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
