"""How the agent notices what was written: the kernel's word (inotify), or looking again and again where that cannot be.

Standard library and syntax of Python 3.6; never imported by the sidecar. Sent before `agent.py`, whose names it uses
(`Folders`, `Linked`, `listing`, `entry`, `reason`), and only for a watch. Paths are bytes relative to the root, and no
link is followed: folders are opened part by part by `Folders`, and watched by descriptor.
"""
import errno
import os
import stat
import struct
import time

CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE = 0x8, 0x40, 0x80, 0x100
DELETE_SELF, MOVE_SELF, UNMOUNT, OVERFLOWN, IGNORED = 0x400, 0x800, 0x2000, 0x4000, 0x8000
ONLY_FOLDERS, IS_FOLDER = 0x1000000, 0x40000000
WATCHED = CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE_SELF | MOVE_SELF | ONLY_FOLDERS
EVENT = struct.Struct("iIII")
EVENTS = 1 << 16  # bytes of events taken at a time
GATHER = 0.02  # seconds: what comes together is told together
YOUNG = 900.0  # seconds for which a new file is looked at again, where nobody says that it was closed
NO_WATCH = (errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSYS)  # limits, and kernels without it


class Blind(Exception):
    """inotify cannot be had here."""


class Gone(Exception):
    """The root is not the folder any more that it was."""


class Inotify:
    """The three calls of the C library, and the events behind them."""

    def __init__(self):
        try:
            import ctypes
            libc = ctypes.CDLL(None, use_errno=True)
            start, self._add, self._remove = libc.inotify_init1, libc.inotify_add_watch, libc.inotify_rm_watch
        except (ImportError, OSError, TypeError, AttributeError):
            raise Blind()
        self._errno = ctypes.get_errno
        self._add.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
        self.fd = start(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise Blind()

    def close(self):
        os.close(self.fd)

    def add(self, folder):
        """Watch an open folder, which becomes the working directory; its number. Raises Blind, OSError."""
        os.fchdir(folder)
        number = self._add(self.fd, b".", WATCHED)
        if number < 0:
            code = self._errno()
            if code in NO_WATCH:
                raise Blind()
            raise OSError(code, os.strerror(code))
        return number

    def remove(self, number):
        self._remove(self.fd, number)  # it may have gone by itself

    def events(self):
        """(number, mask, name) of what is there now."""
        try:
            data = os.read(self.fd, EVENTS)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            number, mask, _, length = EVENT.unpack_from(data, at)
            at += EVENT.size
            yield number, mask, data[at:at + length].rstrip(b"\0")
            at += length


def open_folder(folders, path, out):
    """A descriptor to list, opened afresh; None where there is none any more, or none that may be listed (told)."""
    try:
        folders.get(b"")  # forget the folder of last time: its name may lead elsewhere by now
        return os.open(b".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folders.get(path))
    except Linked:
        return None
    except OSError as error:
        if error.errno not in ABSENT:
            out.problem(reason(error), path)
        return None


def below(path, name):
    return path + b"/" + name if path else name


def look_at(folders, path):
    """The stat of a regular file; None for anything else."""
    folder, _, name = path.rpartition(b"/")
    try:
        found = os.lstat(name, dir_fd=folders.get(folder))
    except (OSError, Linked):
        return None
    return found if stat.S_ISREG(found.st_mode) else None


class Watching:
    """Every folder below the root has a watch; their paths follow when folders are moved."""

    mode = b"inotify"
    pause = None

    def __init__(self, folders, out):
        self.folders, self.out = folders, out
        self.inotify = None
        self.begin()

    def begin(self):
        self.inotify = Inotify()
        self.paths, self.numbers = {}, {}  # number -> path, path -> number
        try:
            self.walk(b"", False)
        except Blind:
            self.close()
            raise

    def close(self):
        if self.inotify:
            self.inotify.close()
        self.inotify = None

    def waits_for(self):
        return [self.inotify.fd]

    def count(self):
        return len(self.paths)

    def walk(self, top, tell):
        """Watch a folder and all below it. `tell`: files may have been made before the watch stood."""
        waiting = [top]
        while waiting:
            path = waiting.pop()
            self.out.beat()
            fd = open_folder(self.folders, path, self.out)
            if fd is None:
                continue
            try:
                self.keep(self.inotify.add(fd), path)
                for name, _, found in listing(fd):
                    if found is not None:
                        self.meet(below(path, name), found, waiting, tell)
            except OSError as error:
                if error.errno not in ABSENT:
                    self.out.problem(reason(error), path)
            finally:
                os.close(fd)

    def meet(self, path, found, waiting, tell):
        if stat.S_ISDIR(found.st_mode):
            waiting.append(path)
        elif tell and stat.S_ISREG(found.st_mode):
            self.out.add(entry(found, path))
            self.out.tick()

    def keep(self, number, path):
        before = self.paths.get(number)  # the same folder under another name: it was moved a moment ago
        if before is not None and self.numbers.get(before) == number:
            del self.numbers[before]
        self.paths[number], self.numbers[path] = path, number

    def drop(self, top):
        """A folder was moved away, with all below it."""
        for path in [path for path in self.numbers if path == top or path.startswith(top + b"/")]:
            number = self.numbers.pop(path)
            self.paths.pop(number, None)
            self.inotify.remove(number)

    def forget(self, number):
        path = self.paths.pop(number, None)
        if path is not None and self.numbers.get(path) == number:
            del self.numbers[path]
        if path == b"":
            raise Gone()

    def look(self):
        """Tell what happened since the last look. Raises Gone, Blind."""
        time.sleep(GATHER)
        touched, made = {}, {}
        for number, mask, name in self.inotify.events():
            if mask & OVERFLOWN:
                self.stand_again()
                return
            path = self.paths.get(number)
            if path is None:
                continue
            if mask & IGNORED:
                self.forget(number)
            elif mask & (DELETE_SELF | MOVE_SELF | UNMOUNT):
                if path == b"":
                    raise Gone()
            elif not mask & IS_FOLDER:
                (made if mask & CREATE else touched)[below(path, name)] = True
            elif mask & MOVED_FROM:
                self.drop(below(path, name))
            else:
                self.walk(below(path, name), True)
        self.folders.get(b"")
        for path in touched:
            self.tell(path, 0)
        for path in made:
            if path not in touched:
                self.tell(path, 1)  # a link to what was whole before; what is made empty is written to and closed yet

    def tell(self, path, least):
        found = look_at(self.folders, path)
        if found is not None and found.st_size >= least:
            self.out.add(entry(found, path))

    def stand_again(self):
        """Events were lost, perhaps those of new folders: begin anew."""
        self.out.add(b"overflow")
        self.close()
        self.begin()
        self.out.add(b"stands %s %d" % (self.mode, self.count()))


class Looking:
    """Folders whose mtime moved are listed again, and new files are looked at until they have been still for a while.

    A file that is overwritten in place long after it was made is not noticed; scans find it.
    """

    mode = b"poll"

    def __init__(self, folders, out):
        self.folders, self.out = folders, out
        self.seen = {}  # folder -> (its mtime, {name: inode})
        self.young = {}  # file -> ((size, mtime), whether that was told)
        self.pause = 1.0
        self.look(True)

    def close(self):
        pass

    def waits_for(self):
        return []

    def count(self):
        return len(self.seen)

    def look(self, first=False):
        """One round; the pause behind it keeps it under a twentieth of a core."""
        began = time.monotonic()
        waiting = [b""]
        there = {}
        while waiting:
            path = waiting.pop()
            if time.monotonic() - began > BEAT:
                self.out.beat()
            fd = open_folder(self.folders, path, self.out if first else Silent)
            if fd is None:
                continue
            try:
                there[path] = self.folder(fd, path, waiting, first)
            except OSError:
                there[path] = (0, {})  # it vanished while it was listed, or will be listed by the next round
            finally:
                os.close(fd)
        self.seen = there
        self.folders.get(b"")
        now = time.time()
        for path in list(self.young):
            self.wait_for(path, now)
        self.pause = max(1.0, 20 * (time.monotonic() - began))

    def folder(self, fd, path, waiting, first):
        mtime = os.fstat(fd).st_mtime
        before, names = self.seen.get(path, (None, {}))
        if before == mtime and time.time() - mtime > 3:  # younger: another name may come within the clock's same tick
            waiting.extend(below(path, name) for name, kind in names.items() if kind == "folder")
            return mtime, names
        now = {}
        for name, _, found in listing(fd):
            if found is None:
                continue
            if stat.S_ISDIR(found.st_mode):
                now[name] = "folder"
                waiting.append(below(path, name))
            elif stat.S_ISREG(found.st_mode):
                now[name] = found.st_ino
                if names.get(name) != found.st_ino and (not first or time.time() - found.st_mtime < YOUNG):
                    self.young[below(path, name)] = (None, False)
        return mtime, now

    def wait_for(self, path, now):
        """Tell a file that stood still from one round to the next, each time that it did after a change."""
        found = look_at(self.folders, path)
        if found is None:
            del self.young[path]
            return
        state, told = self.young[path]
        if (found.st_size, found.st_mtime) != state:
            self.young[path] = ((found.st_size, found.st_mtime), False)
        elif not told:
            self.young[path] = (state, True)
            self.out.add(entry(found, path))
        elif now - found.st_mtime > YOUNG:
            del self.young[path]


class Silent:
    """Where a problem that was told before goes."""

    @staticmethod
    def problem(why, path):
        pass


def open_eyes(folders, out):
    """The best way to notice that there is here."""
    try:
        return Watching(folders, out)
    except Blind:
        return Looking(folders, out)
