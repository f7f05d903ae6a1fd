"""The agent's verbs that change something: `purge` proves and deletes files, `settle` brings back what a purge that was
cut short left under a private name, `rmdir` removes empty folders.

Standard library and syntax of Python 3.6; never imported by the sidecar. Sent before `agent.py`, whose names it uses.
A file is moved to a private name first, so that nobody opens it by its own while it is hashed and deleted.
"""
import errno
import hashlib
import os
import stat
import sys

PIECE = 1 << 20


def find_renameat2():
    """renameat2 of the C library, or of the kernel behind it; None where neither can be called."""
    try:
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
    except (ImportError, OSError, TypeError):
        return None
    kinds = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    if hasattr(libc, "renameat2"):
        call, first = libc.renameat2, ()
        call.argtypes = kinds
    else:
        number = {"x86_64": 316, "aarch64": 276}.get(os.uname().machine)
        if number is None or sys.maxsize < 2 ** 32 or not hasattr(libc, "syscall"):
            return None
        call, first = libc.syscall, (number,)
        call.argtypes = [ctypes.c_long] + kinds
        call.restype = ctypes.c_long

    def rename(fd, old, new):
        if call(*(first + (fd, old, fd, new, 1))) != 0:  # 1: RENAME_NOREPLACE
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return rename


RENAMEAT2 = find_renameat2()
NO_RENAMEAT2 = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def exists(fd, name):
    try:
        os.lstat(name, dir_fd=fd)
    except FileNotFoundError:
        return False
    return True


def rename_kindly(fd, old, new):
    """Rename unless the new name is there. Without renameat2 that is a look before the leap; raises FileExistsError."""
    if RENAMEAT2:
        try:
            return RENAMEAT2(fd, old, new)
        except OSError as error:
            if error.errno not in NO_RENAMEAT2:
                raise
    if exists(fd, new):
        raise FileExistsError(errno.EEXIST, "File exists")
    os.rename(old, new, src_dir_fd=fd, dst_dir_fd=fd)


def move_back(fd, private, name):
    """Give a file its own name again; (outcome, detail). A name that was taken meanwhile is never replaced."""
    try:
        if RENAMEAT2:
            try:
                RENAMEAT2(fd, private, name)
                return b"restored", b""
            except OSError as error:
                if error.errno not in NO_RENAMEAT2:
                    raise
        try:
            os.link(private, name, src_dir_fd=fd, dst_dir_fd=fd, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError:  # no hard links here, or not for this user
            rename_kindly(fd, private, name)
        else:
            os.unlink(private, dir_fd=fd)
        return b"restored", b""
    except FileExistsError:
        return drop_second_name(fd, private, name)
    except OSError as error:
        return b"stranded", reason(error)


def drop_second_name(fd, private, name):
    """The name is taken; by the same file when an earlier agent died between link and unlink."""
    try:
        if os.path.samestat(os.lstat(name, dir_fd=fd), os.lstat(private, dir_fd=fd)):
            os.unlink(private, dir_fd=fd)
            return b"restored", b""
    except OSError as error:
        return b"stranded", reason(error)
    return b"stranded", b"its name was taken meanwhile"


def digest(fd, out, buffer=bytearray(PIECE)):
    total, view = hashlib.sha256(), memoryview(buffer)
    while True:
        count = os.readv(fd, [view])
        if not count:
            return total.hexdigest().encode()
        total.update(view[:count])
        out.beat()


class Wanted:
    """What an original must still be."""

    def __init__(self, size, mtime_ns, exact, sha):
        self.size, self.mtime_ns, self.exact, self.sha = int(size), int(mtime_ns), exact == b"1", sha

    def looks_like(self, found):
        if not stat.S_ISREG(found.st_mode) or found.st_size != self.size:
            return False
        if self.exact:
            return found.st_mtime_ns == self.mtime_ns
        return found.st_mtime_ns // 10 ** 9 == self.mtime_ns // 10 ** 9


class Closer:
    """Closes deleted files beside the work: the last close gives the blocks back, which takes as long as hashing."""

    def __init__(self):
        self.waiting = self.thread = None

    def close(self, fd):
        if self.waiting is None:
            import queue
            import threading
            self.waiting = queue.Queue(64)
            try:
                self.thread = threading.Thread(target=self.work)
                self.thread.start()
            except RuntimeError:  # no threads for this user
                self.thread = None
        if self.thread is None:
            os.close(fd)
        else:
            self.waiting.put(fd)

    def work(self):
        for fd in iter(self.waiting.get, None):
            os.close(fd)

    def end(self):
        if self.thread is not None:
            self.waiting.put(None)
            self.thread.join()


def purge_file(fd, name, wanted, private, out, closer):
    """(outcome, detail). Raises OSError for what stops it before the file was moved."""
    if not wanted.looks_like(os.lstat(name, dir_fd=fd)):
        return b"changed", b"size or mtime"
    source = os.open(name, FILE, dir_fd=fd)
    close = os.close
    try:
        rename_kindly(fd, name, private)
        try:
            why = why_not(fd, source, wanted, private, out)
            if not why:
                os.unlink(private, dir_fd=fd)
                close = closer.close
                return b"purged", b""
            outcome = b"changed"
        except OSError as error:
            outcome, why = (b"denied" if error.errno in DENIED else b"failed"), reason(error)
        back, detail = move_back(fd, private, name)
        return (outcome, why) if back == b"restored" else (back, detail)
    finally:
        close(source)


def why_not(fd, source, wanted, private, out):
    """Why the moved file must not be deleted; empty when it is what was wanted, to the last byte."""
    if not os.path.samestat(os.lstat(private, dir_fd=fd), os.fstat(source)):
        return b"another file took its name"
    if digest(source, out) != wanted.sha:
        return b"SHA-256"
    if not wanted.looks_like(os.fstat(source)):
        return b"written to while it was hashed"
    return b""


def purge(folders, fields, out):
    closer = Closer()
    try:
        purge_all(folders, fields, out, closer)
    finally:
        closer.end()  # the answer's end says that the room is free


def purge_all(folders, fields, out, closer):
    for start in range(0, len(fields) - 6, 7):
        path, size, mtime_ns, exact, sha, private, index = fields[start:start + 7]
        try:
            fd, name = folders.split(plain(path))
            outcome, detail = purge_file(fd, name, Wanted(size, mtime_ns, exact, sha), private, out,
                                         closer)
        except Linked:
            outcome, detail = b"failed", b"folder_is_a_link"
        except OSError as error:
            detail = reason(error)
            outcome = b"denied" if error.errno in DENIED else b"gone" if error.errno in ABSENT else b"failed"
        out.add(b"r %s %s %s" % (index, outcome, detail))
        out.tick()


def settle(folders, fields, out):
    for start in range(0, len(fields) - 2, 3):
        path, private, index = fields[start:start + 3]
        try:
            fd, name = folders.split(plain(path))
            if not stat.S_ISREG(os.lstat(private, dir_fd=fd).st_mode):
                outcome, detail = b"stranded", b"not a regular file"
            else:
                outcome, detail = move_back(fd, private, name)
        except Linked:
            outcome, detail = b"stranded", b"folder_is_a_link"
        except OSError as error:
            outcome, detail = (b"absent" if error.errno in ABSENT else b"stranded"), reason(error)
        out.add(b"r %s %s %s" % (index, outcome, detail))
        out.tick()


def rmdir(folders, fields, out):
    for start in range(0, len(fields) - 1, 2):
        outcome, detail = b"kept", b""
        try:
            fd, name = folders.split(plain(fields[start]))
            if name:
                os.rmdir(name, dir_fd=fd)
                outcome = b"removed"
        except Linked:
            detail = b"folder_is_a_link"
        except OSError as error:
            detail = reason(error)
        out.add(b"r %s %s %s" % (fields[start + 1], outcome, detail))


MORE_VERBS = {b"purge": purge, b"settle": settle, b"rmdir": rmdir}
