"""The GPU's tests of derivatives, over real CuPy arrays on the host."""

from __future__ import annotations

import test_gpu_derivatives

test_value_and_gradients = test_gpu_derivatives.test_value_and_gradients
test_a_training_step = test_gpu_derivatives.test_a_training_step
