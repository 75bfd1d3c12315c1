"""Processes that must not outlive the one that started them."""

import os
import threading
import time

WATCH = 1.0  # seconds between two looks


def end_with(parent: int) -> None:
    """End this process within a second of that one, its parent, which may be killed and cannot say so.

    It ends at once if another process is its parent by now.
    """
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH)
    os._exit(1)
