"""From the text of an LLVM module to machine code in this process.

    code = machine_code("define void @double(...) ...")     an object file, as bytes
    load(code)                                              its functions are in this process
    address_of_function("double")                           where one of them is

The object file is for the processor of this machine. It can be kept and loaded by another process, which
takes a millisecond.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import binding

from ...common.forks import compile_lock


@functools.cache
def _target() -> Any:
    """What LLVM compiles for: this processor, with all that it has."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_default_triple()
    return target.create_target_machine(
        cpu=processor(), features=features(), opt=3, reloc="default", codemodel="jitdefault", jit=True
    )


def processor() -> str:
    """LLVM's name of this processor."""
    return str(binding.get_host_cpu_name())


@functools.cache
def features() -> str:
    """What this processor has, as LLVM spells it; nothing where LLVM cannot tell."""
    try:
        return str(binding.get_host_cpu_features().flatten())
    except RuntimeError:
        return ""


def machine_code(text: str) -> bytes:
    """The object file of a module: optimised and compiled."""
    with compile_lock:
        return bytes(_target().emit_object(optimised(text)))


def optimised(text: str) -> Any:
    """A module after LLVM's passes."""
    with compile_lock:
        module = binding.parse_assembly(text)
        machine = _target()
        module.triple, module.data_layout = machine.triple, str(machine.target_data)
        options = binding.create_pipeline_tuning_options(speed_level=3)
        options.loop_vectorization = options.slp_vectorization = True
        # Unrolling what is already in vectors makes no kernel faster, and takes eight times the time.
        options.loop_unrolling = False
        builder = binding.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
        return module


@functools.cache
def _engine() -> Any:
    """What holds all machine code of this process."""
    return binding.create_mcjit_compiler(binding.parse_assembly(""), _target())


def load(code: bytes) -> None:
    """Put an object file into this process. Its functions must have names that no other one has."""
    with compile_lock:
        engine = _engine()
        engine.add_object_file(binding.ObjectFileRef.from_data(code))
        engine.finalize_object()


def address_of_function(name: str) -> int:
    """The address of a function that was loaded; 0 for one that was not."""
    return int(_engine().get_function_address(name))
