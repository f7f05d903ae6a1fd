"""The agent's `watch` verb: tell of files until standard input ends, or nobody was heard for too long.

Standard library and syntax of Python 3.6; never imported by the sidecar. Sent behind `agent_purge.py` and
`agent_eyes.py`, before `agent.py`. Records: `hello` as in a scan, `problem` for a folder that cannot be watched, `stands MODE FOLDERS` when all
is watched, `e` for a file that was closed or moved in, `overflow` when some were lost (`stands` comes again), and
`beat NOW` every few seconds. A `tick` closes each batch, because a record is known to be whole when the next begins.
"""
import os
import select
import sys
import time

HEARTBEAT = 10.0  # seconds
LEASE = 90.0  # seconds without a word from the host, which answers heartbeats


class Host:
    """Standard input, of which anything is a sign of life and its end the end."""

    def __init__(self):
        os.set_blocking(0, False)
        self.heard = time.monotonic()
        self.left = sys.stdin.buffer.peek()  # what came with the request

    def listen(self):
        """Whether to go on."""
        said = self.left
        self.left = b""
        try:
            more = os.read(0, 4096)
            if not more:
                return False
            said += more
        except BlockingIOError:
            pass  # the host has said nothing since
        if said:
            self.heard = time.monotonic()
        return b"quit" not in said and time.monotonic() - self.heard < LEASE


def same_root(folders, root):
    """Whether the root's name still leads to the folder that is watched."""
    try:
        return os.path.samestat(os.stat(root + b"/."), os.stat(folders.root))
    except OSError:
        return False


def watch(folders, fields, out):
    root, host = fields[0], Host()
    greet(folders, out, time_ns())
    eyes = open_eyes(folders, out)
    try:
        out.add(b"stands %s %d" % (eyes.mode, eyes.count()))
        beat = 0.0
        while host.listen():
            now = time.monotonic()
            if now >= beat:
                if not same_root(folders, root):
                    break
                beat = now + HEARTBEAT
                out.add(b"beat %d" % time_ns())
            if out.held:
                out.add(b"tick")
                out.flush()
            wait = beat - time.monotonic()
            ready, _, _ = select.select([0] + eyes.waits_for(), [], [], max(0.0, min(wait, eyes.pause or wait)))
            if 0 in ready and len(ready) == 1:
                continue
            if ready or eyes.pause:
                eyes = look(eyes, folders, out)
    except Gone:
        pass  # the record that ends the answer says that the watch is over
    finally:
        eyes.close()
        os.set_blocking(0, True)


def look(eyes, folders, out):
    """Tell what is new; the eyes for the next time."""
    try:
        eyes.look()
    except Blind:  # no watch left for a new folder: whatever was missed is found by the scan that `stands` asks for
        eyes.close()
        eyes = Looking(folders, out)
        out.add(b"stands %s %d" % (eyes.mode, eyes.count()))
    return eyes


MORE_VERBS[b"watch"] = watch
