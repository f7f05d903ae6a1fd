"""Scans with marks: what the host knows of a folder is told by one record, see `scanwire.py` and `sync/marks.py`.

Standard library and syntax of Python 3.6; never imported by the sidecar. Sent before `agent.py`, whose `listing` and
`entry` it uses.
"""
import hashlib
import os
import stat
import sys


class Marks:
    """What the host knows of folders, and where and when a folder's shape proves something (see sync/marks.py)."""

    SOUND = (b"ext3", b"ext4", b"xfs", b"tmpfs", b"overlay")  # a change to a folder always changes its times there

    def __init__(self, fields, now):
        self.now, self.quiet = now, int(fields[0])
        self.known = {plain(fields[at]): fields[at + 1:at + 4] for at in range(1, len(fields) - 3, 4)}
        self.sound = set()
        try:
            with open("/proc/self/mountinfo", "rb") as mounts:
                for line in mounts:
                    words = line.split()
                    if words[words.index(b"-") + 1] in self.SOUND:
                        self.sound.add(words[2])
        except (OSError, ValueError):
            self.sound.clear()

    def shapely(self, found):
        """Whether it lies where a shape can be trusted; of the rest of the conditions see `is_quiet`."""
        device = b"%d:%d" % (os.major(found.st_dev), os.minor(found.st_dev))
        return sys.version_info >= (3, 7) and device in self.sound

    def is_quiet(self, found):
        return max(found.st_mtime_ns, found.st_ctime_ns) <= self.now - self.quiet


def shape_of(top, names):
    """The digest of a folder's own stat and of `inode name` of everything in it."""
    names.sort()
    own = b"%d %d %d %d" % (top.st_dev, top.st_ino, top.st_mtime_ns, top.st_ctime_ns)
    return hashlib.blake2b(own + b"\0" + b"\0".join(names), digest_size=16).hexdigest().encode()


def digest_of(records):
    return hashlib.blake2b(b"\0".join(sorted(records)), digest_size=16).hexdigest().encode()


def scan_marked(fd, path, waiting, out, marks):
    """Like scan_folder, with a mark, and only that in place of files that are as the host knows them.

    Which of them may be new is a guess by their ctime; that the others are all there, the digest proves.
    """
    below = path + b"/" if path else b""
    digest, shape, since = marks.known.get(path, (b"-", b"-", b"0"))
    since = int(since)
    top = os.fstat(fd)  # before the names are read: what is done in between shows the next time
    shapely = marks.shapely(top)
    if shapely and shape != b"-" and glance(fd, top, below, digest, shape, waiting, out):
        return
    before, new, names = [], [], []
    quiet = shapely and marks.is_quiet(top)
    for name, number, found in listing(fd):
        if found is None:
            quiet = False  # somebody is at work here
            continue
        if stat.S_ISDIR(found.st_mode):
            out.add(entry(found, below + name))
            waiting.append(below + name)
        else:
            (before if found.st_ctime_ns < since else new).append(entry(found, below + name))
            quiet = quiet and marks.is_quiet(found)
        if quiet:
            names.append(b"%d %s" % (number, name))
    now, word, told = digest_of(before + new), b"mark", before + new
    if now == digest:
        word, told = b"same", []
    elif before and digest_of(before) == digest:
        word, told = b"more", new
    for record in told:
        out.add(record)
    out.add(b"%s %s %s %d %s" % (word, now, shape_of(top, names) if quiet else b"-", len(before) + len(new), path))


def glance(fd, top, below, digest, shape, waiting, out):
    """Whether a folder has the shape that the host knows; then it is told so, and of its names only the folders."""
    names, inside, count = [], [], 0
    with os.scandir(fd) as items:
        for item in items:
            name = os.fsencode(item.name)
            names.append(b"%d %s" % (item.inode(), name))
            if item.is_dir(follow_symlinks=False):
                inside.append(name)
            else:
                count += 1
    if shape_of(top, names) != shape:
        return False
    for name in inside:
        try:
            out.add(entry(os.lstat(name, dir_fd=fd), below + name))
        except FileNotFoundError:
            continue
        waiting.append(below + name)
    out.add(b"same %s %s %d %s" % (digest, shape, count, below[:-1]))
    return True
