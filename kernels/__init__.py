"""What is computed: each formula once, in plain array API. One file for each family, backward beside forward.

A family lists its public names in `__all__`. Together they are the names of this package.
"""

from .activations import *
from .elementwise_losses import *
from .label_losses import *
from .linear import *
from .networks import *
from .optimizers import *
from .penalties import *

__all__ = [name for name, value in globals().items() if callable(value)]
