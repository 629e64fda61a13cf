"""Test and measure the CUDA backend in one run of eight minutes on a machine with a GPU.

    python -m bench.gpu_day                    # all steps
    python -m bench.gpu_day smoke use times    # some of them

Run it in the root of a checkout. It runs the code of that checkout, even if onepass is installed. `steps.py`
has the steps, the most important first. A step that fails does not end the others. Each has a time limit, and
all steps together have GPU_DAY_SECONDS (480). The results are in the folder $OUT (bench-results/gpu-day):

    log.txt                      everything that was printed, with a short summary at the end
    failed.txt                   one line for every failed test, written at once
    junit.xml, junit-use.xml     the tests
    times.json                   device times of onepass, copies, PyTorch and Liger
    bench.json                   the results of `python -m bench --gpu` for a few workloads
    sanitizer.txt, ncu.txt       the reports of compute-sanitizer and Nsight Compute on a few kernels

It needs CuPy, NVRTC, pytest and the dependencies of onepass:

    pip install -e '.[cuda13,gpu-tests,peers-cuda13]' --group dev

If the machine has CuPy and pytest but no network, put missing wheels into the folder .whl/ of the checkout.
onepass need not be installed:

    pip download --no-deps --only-binary=:all: -d .whl array-api-compat platformdirs ml_dtypes

Each module is a step or a part of one. A step runs in its own process, in the environment of `places.py`.
"""
