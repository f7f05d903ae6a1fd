"""Which folders need not be listed again: pure decisions over marks. A pass where nothing happened reads no file's row.

Of a folder of which nothing is left to do, the manifest keeps the mark that the scanner gave it. The next scan sends
those marks along, its basis, and what is as its mark says is answered by one short record. There are two ways of that:

By digest. The agent looks at every file, and says the same only if each record that it would send is, to the byte, one
that it sent before: names, sizes, mtimes in ns, inodes, owners, modes, links. This is exact: a decision depends on
nothing else that the source says. What it depends on besides is why a folder is left without a mark, or loses it:

- A file waits, failed, or could not be read: what becomes of it depends on the time. The folder is listed.
- A row of the manifest changes, for whatever reason (purge, damage found in a copy, a file that came or went): triggers
  of the schema drop the folder's mark. When marks are kept, as many rows must be there as the mark stands for.
- Another generation, other patterns, another version of this program: all marks of the root go (`context`).

Of a folder that got more, only what is new is listed. The agent sets apart what has a ctime from before the scan that
made the mark, and if the digest of these is the mark's, all that it stood for is there as it was. The ctime is but a
guess of what to set apart: one that is wrong (a clock that was set, a file changed since) makes another digest, and all
is listed. What a new file decides about an old one is a text's picture: a folder where a text was left out because it
had none is listed as a whole.

By shape. Where a folder and all that is in it had been left alone for `QUIET_NS` when its digest was taken, the agent
also names the folder's shape: its device, inode, mtime, ctime, and the names, inodes and number of what is in it.
While these stay, no name came, went, or became another file, and the agent looks at none of the files. Folders inside
are always entered, because what happens there does not show above. This proves less, and where it does not hold:

- A file rewritten in place, ComfyUI's and most other generators' way of writing, moves neither its folder's mtime nor
  anything else of it. Nor does a change of a file's mode, owner or times. A generator rewrites what it has just
  written (one AVIF node does), hence QUIET_NS; a person with an editor may do so at any time. Seen by the full scan.
- Racy times: a folder changed twice within one tick of the clock of its file system (4 ms, on ext3 a second) has the
  mtime of the first change. Hence no shape of anything changed within QUIET_NS, which is longer than any tick.
- A clock that was set back may give a time a second time, one that was set forth makes the new look old: times in the
  future are not quiet, and besides mtime, which tools restore, ctime has to be the same to the ns, which none can set.
- NFS, SMB, 9p, virtiofs and FUSE show what others did late, or round times: agents know the file systems on which a
  change to a folder always shows, ext3, ext4, xfs, tmpfs and overlay, by the device number in /proc/self/mountinfo.
  What is not found there (btrfs numbers its subvolumes otherwise) has no shapes.
- overlay copies a lower file up when it is first written: that is a write in place, too. Changing a lower layer under a
  mounted overlay is undefined. After a restart inodes may be others: then shapes and digests differ, and all is listed.
- A link's target is none of the folder's: links are not followed, so nothing depends on it.
- Where mtimes are known to the second only (shells, archives) there is no agent that knows marks.

A file rewritten in place to the same size, whose mtime was then put back, looks to every scan as it did, full or not; a
purge hashes it, sees that it is another, and has it pulled.

So no picture is missed for ever: every `sync.full_scan_every` nothing is sent along, every file is looked at and every
row compared. A purge is planned over a scan without a basis, and hashes each original before it goes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import sidecar
from sidecar.manifest import MarkedFolder, Marks
from sidecar.models import NS, Basis, FileStat, FileType, Mark, Problem, Rules, Scan
from sidecar.sync.diff import ALONE, NO_FILE, Decision, media_groups

QUIET_NS = 60 * NS
_FORMAT = 1  # to be raised when a digest, a shape or what is left out of a pull comes to mean something else
_UNKNOWN = 1 << 62  # bytes: more than any read may carry


def folder_of(path: bytes) -> bytes:
    """The folder that a path lies in; b"" is the root."""
    return path.rpartition(b"/")[0]


def context(generation_id: int, rules: Rules) -> bytes:
    """Stands for all that a decision over a settled file goes by, besides its stat and its row."""
    told = (_FORMAT, sidecar.__version__, generation_id, rules.include, rules.exclude)
    return hashlib.blake2b(repr(told).encode(), digest_size=16).digest()


def is_due(marks: Marks, now_ns: int, every_ns: int) -> bool:
    """Whether the next scan is a full one; also when the clock went back behind the last."""
    return marks.full_ns is None or not 0 <= now_ns - marks.full_ns < every_ns


def basis(marks: Marks, waiting: Iterable[bytes], *, full: bool) -> Basis:
    """What to send along with a scan. Folders in which a file waits are to be listed."""
    if full:
        return Basis({}, QUIET_NS)
    restless = {folder_of(path) for path in waiting}
    return Basis({name: _asked(f) for name, f in marks.folders.items() if name not in restless}, QUIET_NS)


def _asked(folder: MarkedFolder) -> Mark:
    """What is sent along of a folder. A text without its picture is looked at again as soon as anything is new."""
    alone = any(problem.reason == ALONE for problem in folder.skipped)
    return replace(folder.mark, since_ns=0) if alone else folder.mark


def by_folder(entries: Iterable[FileStat]) -> dict[bytes, list[FileStat]]:
    """What lies directly in each folder, itself not included; folders without anything in them are not there."""
    found: dict[bytes, list[FileStat]] = {}
    for entry in entries:
        if entry.path:
            found.setdefault(folder_of(entry.path), []).append(entry)
    return found


def vouch(decision: Decision, marks: Marks, scan: Scan) -> None:
    """Add to a decision what was not listed because it is the same: unchanged, or left out for the same reason."""
    for name in (*scan.same, *scan.grown):  # a scan vouches for nothing but what its basis said
        held = marks.folders[name]
        decision.scanned += held.mark.names
        decision.unchanged += held.mark.names - len(held.skipped)
        decision.skipped += held.skipped


def pictures_left_out(marks: Marks, grown: Iterable[bytes]) -> set[bytes]:
    """Groups with a picture that is there and was not to be pulled, in folders of which only what is new is listed."""
    return media_groups(problem.path for name in grown for problem in marks.folders[name].skipped
                        if problem.reason not in NO_FILE)  # fmt: skip


def settled(scan: Scan, folders: Mapping[bytes, Sequence[FileStat]], decision: Decision, waiting: Collection[bytes],
            held: Marks) -> dict[bytes, MarkedFolder]:  # fmt: skip
    """The listed folders that need not be listed again, after a pass that left only `waiting` to be done.

    `folders` are as of `by_folder`, `held` what the scan's basis was made of. Everything else of the decision must have
    been carried out and recorded.
    """
    restless = {folder_of(path) for path in waiting}
    restless.update(folder_of(problem.path) for problem in decision.failed)
    restless.update(problem.path for problem in decision.failed)
    skipped: dict[bytes, list[Problem]] = {}
    for problem in decision.skipped:
        skipped.setdefault(folder_of(problem.path), []).append(problem)
    found: dict[bytes, MarkedFolder] = {}
    for name, mark in scan.marks.items():
        listed = sum(entry.type is not FileType.DIRECTORY for entry in folders.get(name, ()))
        if name in scan.grown:
            listed += held.folders[name].mark.names
        if name not in restless and listed == mark.names:
            found[name] = MarkedFolder(mark, tuple(skipped.get(name, ())))
    return found


def reshaped(marks: Marks, same: Mapping[bytes, Mark]) -> dict[bytes, MarkedFolder]:
    """Of the folders that are the same, those whose shape is known only now, or no more."""
    held = marks.folders
    return {name: replace(held[name], mark=replace(held[name].mark, shape=mark.shape))
            for name, mark in same.items() if mark.shape != held[name].mark.shape}  # fmt: skip


def unseen(scan: Scan) -> list[FileStat]:
    """For planning: a folder that was not listed whole holds too much for an archive that would carry it along."""
    names = (*(name for name, mark in scan.same.items() if mark.names), *scan.grown)
    return [FileStat(name + b"/" if name else b"/", _UNKNOWN, 0) for name in names]
