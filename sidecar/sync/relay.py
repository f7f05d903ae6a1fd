"""Two threads on one large file: while one takes bytes from the wire, the other hashes and writes them.

Hashing and system calls let go of the interpreter's lock, so both run at once. Memory is a ring of a few buffers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

BUFFER = 1 << 17  # bytes; what is in flight stays in the processor's cache
BUFFERS = 8


def relay(size: int, fill: Callable[[memoryview], int], take: Callable[[memoryview], None]) -> None:
    """Move `size` bytes: `fill` is called in this thread and answers how many bytes it put into a buffer, `take` gets
    them in order in another thread. Both have ended when this returns, or raises what either of them raised first.
    """
    free: SimpleQueue[memoryview | None] = SimpleQueue()
    full: SimpleQueue[memoryview | None] = SimpleQueue()
    failed: list[BaseException] = []
    for _ in range(BUFFERS):
        free.put(memoryview(bytearray(BUFFER)))

    def work() -> None:
        try:
            while (piece := full.get()) is not None:
                take(piece)
                free.put(memoryview(piece.obj))
        except BaseException as error:
            failed.append(error)
            free.put(None)

    worker = threading.Thread(target=work, name="relay")
    worker.start()
    try:
        left = size
        while left and not failed and (buffer := free.get()) is not None:
            count = 0
            most = min(left, len(buffer))
            while count < most:
                count += fill(buffer[count:most])
            full.put(buffer[:most])
            left -= most
    finally:
        full.put(None)
        worker.join()
    if failed:
        raise failed[0]
