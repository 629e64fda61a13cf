"""What there is to know about the CUDA backend, from one run of eight minutes on a machine with a GPU.

    python -m bench.gpu_day                    # all steps
    python -m bench.gpu_day smoke use times    # some of them

Run it in the root of a checkout. It runs the code of that checkout, whatever is installed. `steps.py` has the
steps, in the order of their value: none of them ends the others, each has a time limit, and all together have
GPU_DAY_SECONDS (480). Under $OUT (bench-results/gpu-day) it leaves

    log.txt                      all that was printed; a short summary is at the end
    failed.txt                   a line for every test that failed, as it came
    junit.xml, junit-use.xml     the tests
    times.json                   device times of onepass, of copies, of PyTorch and of Liger
    bench.json                   the results of `python -m bench --gpu` for a few workloads
    sanitizer.txt, ncu.txt       what compute-sanitizer and Nsight Compute say of a few kernels

It needs CuPy, NVRTC, pytest and what onepass itself imports:

    pip install -e '.[cuda13,gpu-tests,peers-cuda13]' --group dev

Where a machine has CuPy and pytest but no network, carry the wheels that it lacks in the folder .whl/ of the
checkout; onepass need not be installed:

    pip download --no-deps --only-binary=:all: -d .whl array-api-compat platformdirs ml_dtypes

Each module here is a step, or a part of one, and is run by itself with the environment of `places.py`.
"""
