"""The start of a training, of which imports are the most: a fourth less of the processor's time."""

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_start() -> Iterator[None]:
    """What is imported and built in here costs no search for garbage.

    Python looks for garbage as objects become more, over and over among all those that modules are made of,
    and they stay: it is told to let them be. A process that has torch already has other things and is left
    alone.
    """
    if "torch" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        atexit.register(gc.unfreeze)  # or libraries complain at the end of what is left
