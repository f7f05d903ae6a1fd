"""The agent for containers that have Python: does what its standard input asks for. Here it lists, stats and streams.

Standard library and syntax of Python 3.6; never imported by the sidecar, only sent (see `wire.py`, which holds the
protocol). A request is `VERB TOKEN ROOTLEN LEN STEP\n`, the root padded with NULs to 512 bytes, then NUL-ended fields
padded likewise. An answer is records `\n` TOKEN ` ` ...; the last one is `end COUNT\n`. Names are bytes throughout, and
below the root no link is ever followed: folders are opened part by part with O_NOFOLLOW and used by descriptor.
"""
import errno
import os
import stat
import sys
import time

FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # NONBLOCK: a pipe that took the file's place must not hang us
SMALL = 1 << 18  # files up to this size are read whole and written together
CHUNK = 1 << 20
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
ABSENT = (errno.ENOENT, errno.ENOTDIR)
BEAT = 2.0  # seconds of silence at most while one large file is hashed


class Linked(Exception):
    """A folder on the way is a symbolic link now."""


def reason(error):
    """One word for a record."""
    if error.errno in DENIED:
        return b"permission_denied" if error.errno != errno.EROFS else b"read-only_file_system"
    if error.errno in ABSENT:
        return b"vanished"
    return (error.strerror or "error").replace(" ", "_").encode("ascii", "replace")


def write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


class Records:
    """The records of one answer, written in groups so that the host sees progress without a system call for each."""

    def __init__(self, fd, token):
        self.fd, self.lead = fd, b"\n" + token + b" "
        self.count, self.held, self.since = 0, [], time.monotonic()

    def add(self, record):
        self.held.append(self.lead + record)
        self.count += 1
        if len(self.held) >= 500:
            self.flush()

    def problem(self, why, path):
        self.add(b"problem " + why + b" " + path)

    def tick(self):
        """Called after each item of slow work."""
        if len(self.held) >= 100 or time.monotonic() - self.since > 0.2:
            self.flush()

    def beat(self):
        """Called within slow work, so that the host does not take it for the end."""
        if time.monotonic() - self.since >= BEAT:
            self.add(b"tick")
            self.flush()

    def flush(self):
        data, self.held, self.since = b"".join(self.held), [], time.monotonic()
        write_all(self.fd, data)

    def end(self):
        self.held.append(self.lead + b"end %d\n" % self.count)
        self.flush()


class Folders:
    """Folders below one root, by descriptor; the last one stays open because items come sorted by folder."""

    def __init__(self, root):
        self.root = os.open(root + b"/.", FOLDER & ~os.O_NOFOLLOW)
        self.path, self.fd = b"", self.root

    def close(self):
        if self.fd != self.root:
            os.close(self.fd)
        os.close(self.root)

    def get(self, path):
        """The descriptor of a folder; raises Linked, or OSError."""
        if path == self.path:
            return self.fd
        if self.fd != self.root:
            os.close(self.fd)
        self.path, self.fd = b"", self.root
        fd = self.root
        for part in path.split(b"/") if path else ():
            try:
                below = os.open(part, FOLDER, dir_fd=fd)
            except OSError as error:
                linked = error.errno in (errno.ENOTDIR, errno.ELOOP) and is_link(part, fd)
                if fd != self.root:
                    os.close(fd)
                if linked:
                    raise Linked()
                raise
            if fd != self.root:
                os.close(fd)
            fd = below
        self.path, self.fd = path, fd
        return fd

    def split(self, path):
        """(descriptor of its folder, name) of a path below the root."""
        folder, _, name = path.rpartition(b"/")
        return self.get(folder), name


def is_link(name, fd):
    try:
        return stat.S_ISLNK(os.lstat(name, dir_fd=fd).st_mode)
    except OSError:
        return False


def plain(field):
    """A path of the host, `./a/b` or `.`, as `a/b` or ``. Refuses what could lead out of the root."""
    parts = [part for part in field.split(b"/") if part not in (b"", b".")]
    if field.startswith(b"/") or b".." in parts:
        raise ValueError("not below the root")
    return b"/".join(parts)


def seconds(ns):
    """Nanoseconds as `[-]s.nnnnnnnnn`, the way GNU stat and pax write them."""
    if ns >= 0:
        return b"%d.%09d" % divmod(ns, 1000000000)
    return b"-%d.%09d" % divmod(-ns, 1000000000)


def entry(found, path):
    mode, inode, device, links, uid, gid, size = found[:7]
    return b"e %x %d %s %d %d %d %d %d %s" % (
        mode, size, seconds(found.st_mtime_ns), device, inode, uid, gid, links, path)


def listing(fd):
    """(name, its inode as the folder has it or -1, its stat) of all in a folder; None for a stat: it just went."""
    if sys.version_info >= (3, 7):
        with os.scandir(fd) as names:
            for item in names:
                try:
                    yield os.fsencode(item.name), item.inode(), item.stat(follow_symlinks=False)
                except OSError as error:
                    if error.errno not in ABSENT:
                        raise
                    yield b"", -1, None
    else:
        for name in os.listdir(fd):
            try:
                yield os.fsencode(name), -1, os.lstat(name, dir_fd=fd)
            except OSError as error:
                if error.errno not in ABSENT:
                    raise
                yield b"", -1, None


def time_ns():
    return time.time_ns() if hasattr(time, "time_ns") else int(time.time() * 10 ** 9)


def greet(folders, out, now):
    """Who looks, when, and the root."""
    top = os.stat(folders.root)
    out.add(b"hello %d %d %d %d %s" % (os.geteuid(), now, top.st_uid, top.st_gid,
                                       ",".join(map(str, os.getgroups())).encode()))
    out.add(entry(top, b""))


def scan(folders, fields, out):
    now = time_ns()
    greet(folders, out, now)
    marks = Marks(fields, now) if fields else None
    waiting = [b""]
    while waiting:
        path = waiting.pop()
        try:
            fd = os.open(b".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folders.get(path))
        except Linked:
            continue  # it was a folder a moment ago: the same as vanished
        except OSError as error:
            if error.errno not in ABSENT:
                out.problem(reason(error), path)
            continue
        try:
            if marks is None:
                scan_folder(fd, path, waiting, out)
            else:
                scan_marked(fd, path, waiting, out, marks)
        except OSError as error:
            out.problem(reason(error), path)
        finally:
            os.close(fd)


def scan_folder(fd, path, waiting, out):
    """Report one folder's names; raises OSError when it cannot be listed to the end."""
    below = path + b"/" if path else b""
    for name, _, found in listing(fd):
        if found is None:
            continue
        out.add(entry(found, below + name))
        if stat.S_ISDIR(found.st_mode):
            waiting.append(below + name)


def stat_paths(folders, fields, out):
    for path in map(plain, fields):
        try:
            fd, name = folders.split(path)
            out.add(entry(os.lstat(name, dir_fd=fd) if name else os.stat(folders.root), path))
        except Linked:
            out.problem(b"folder_is_a_link", path)
        except OSError as error:
            if error.errno not in ABSENT:
                out.problem(reason(error), path)


def tar_header(name, size, mtime, kind):
    head = b"".join((
        name[:100].ljust(100, b"\0"), b"0000644\0", b"0000000\0" * 2, b"%011o\0" % size, b"%011o\0" % mtime,
        b" " * 8, kind, b"\0" * 100, b"ustar\x0000", b"\0" * 247))
    return b"%s%06o\0 %s" % (head[:148], sum(head), head[156:])


def tar_headers(path, size, mtime_ns):
    """The ustar header of a file, behind a pax header for a name or size that does not fit into it.

    Times are whole seconds: the host has asked for the exact one and will ask again, and a header less is read faster.
    """
    pax, short_size, short_mtime = b"", size, max(0, min(mtime_ns // 10 ** 9, 8 ** 11 - 1))
    if len(path) > 100 or any(c < 32 or c > 126 for c in path):
        pax += pax_record(b"path", path)
    if size >= 8 ** 11:
        pax, short_size = pax + pax_record(b"size", b"%d" % size), 0
    last = tar_header(path, short_size, short_mtime, b"0")
    if not pax:
        return last
    return tar_header(b"pax", len(pax), 0, b"x") + pax + b"\0" * (-len(pax) % 512) + last


def pax_record(key, value):
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while length != len(rest) + len(b"%d" % length):
        length = len(rest) + len(b"%d" % length)
    return b"%d" % length + rest


def widen(fd):
    """More room in the pipe behind a descriptor than Linux's 64 KB, so that both its ends are woken less often."""
    try:
        import fcntl
        fcntl.fcntl(fd, 1031, CHUNK)  # F_SETPIPE_SZ, which Python 3.6 has no name for
    except (ImportError, OSError):
        return  # no pipe, or no right to a larger one


def tar(folders, fields, out):
    widen(1)
    held = bytearray()
    for path in map(plain, fields):
        try:
            fd, name = folders.split(path)
            if not stat.S_ISREG(os.lstat(name, dir_fd=fd).st_mode):  # before open: opening a device can do things
                out.problem(b"not_a_regular_file", path)
                continue
            source = os.open(name, FILE, dir_fd=fd)
        except Linked:
            out.problem(b"folder_is_a_link", path)
            continue
        except OSError as error:
            out.problem(reason(error), path)
            continue
        try:
            tar_file(source, path, held, out)
        finally:
            os.close(source)
    held += b"\0" * 1024
    write_all(1, held)


def tar_file(source, path, held, out):
    before = os.fstat(source)
    size = before.st_size
    if not stat.S_ISREG(before.st_mode):
        out.problem(b"not_a_regular_file", path)
        return
    held += tar_headers(path, size, before.st_mtime_ns)
    why = b""
    try:
        sent = read_small(source, size, held) if size <= SMALL else send(source, size, held)
    except Torn as torn:
        sent, why = torn.sent, torn.why
    after = os.fstat(source)
    if (after.st_size, after.st_mtime_ns) != (size, before.st_mtime_ns):
        out.problem(why or b"changed_while_read", path)
    elif sent < size:  # the rest is zeros that nobody wrote: the host keeps no file with a problem
        out.problem(why or b"ended_before_its_size", path)
    zeros = size - sent + -size % 512
    while zeros > CHUNK:
        write_all(1, held)
        held[:], zeros = b"\0" * CHUNK, zeros - CHUNK
    held += b"\0" * zeros
    if len(held) >= CHUNK:
        write_all(1, held)
        del held[:]
    out.tick()


class Torn(Exception):
    """Reading failed after `sent` bytes."""

    def __init__(self, sent, error):
        Exception.__init__(self)
        self.sent, self.why = sent, reason(error)


def read_some(source, count, sent):
    try:
        return os.read(source, count)
    except OSError as error:
        raise Torn(sent, error)


def read_small(source, size, held):
    sent = 0
    while sent < size:
        data = read_some(source, size - sent, sent)
        if not data:
            break
        held += data
        sent += len(data)
    return sent


def send(source, size, held):
    """Content by sendfile, or by read and write where the file system has no sendfile."""
    write_all(1, held)
    del held[:]
    sent, by_kernel = 0, True
    while sent < size:
        count = min(size - sent, CHUNK)
        if by_kernel:
            try:
                moved = os.sendfile(1, source, sent, count)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                    if error.errno == errno.EPIPE:
                        raise
                    raise Torn(sent, error)
                by_kernel = False
                os.lseek(source, sent, os.SEEK_SET)
                continue
        else:
            data = read_some(source, count, sent)
            write_all(1, data)
            moved = len(data)
        if not moved:
            break
        sent += moved
    return sent


VERBS = {b"scan": scan, b"stat": stat_paths, b"tar": tar}
VERBS.update(globals().get("MORE_VERBS", {}))  # of the files that were sent before this one


def take(count):
    """`count` bytes of standard input, without the padding behind them."""
    return sys.stdin.buffer.read(count + -count % 512)[:count]


def answer(verb, token, root, fields):
    out = Records(2 if verb == b"tar" else 1, token)
    try:
        folders = Folders(root)
    except OSError as error:
        out.add(b"noroot " + {errno.ENOENT: b"missing", errno.ENOTDIR: b"not_a_directory"}.get(
            error.errno, reason(error)))
    else:
        try:
            VERBS[verb](folders, fields, out)
        finally:
            folders.close()
    out.end()


def main():
    while True:
        words = sys.stdin.buffer.readline().split()
        if not words or words[0] == b"quit":
            return
        root = take(int(words[2]))
        answer(words[0], words[1], root, take(int(words[3])).split(b"\0")[:-1])  # [:-1] drops a name cut short, too


try:
    main()
except BrokenPipeError:
    os._exit(0)  # nobody listens any more; a normal exit would complain once again
