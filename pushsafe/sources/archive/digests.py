"""Blobs read in the background and compared with their digests, those first that somebody waits for."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable

from pushsafe.model.content import Content
from pushsafe.model.errors import ContentBroken, UsageError
from pushsafe.sources.archive.files import AGAIN, StoredBlob

_PAUSE = 0.1
"""Seconds between two reports of progress."""


class _Job:
    """One blob; `read` bytes of it were hashed. Only the thread that reads it changes that."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self.read = 0
        self.taken = False
        self.done = False


class Hashing:
    """Begins with `start`, or when somebody waits, with a thread for each processor; the largest blobs come first.

    Its threads end with the process, whatever they do, and at their next part once `close` was called.
    """

    def __init__(self, contents: Iterable[Content], *, right: Collection[str] = ()) -> None:
        """`right` are the digests of what was found right already."""
        largest_first = sorted(contents, key=lambda content: -content.blob.size)
        self._jobs = {content.blob.digest: _Job(content) for content in largest_first}
        for digest in right:
            if digest in self._jobs:
                self._finish(self._jobs[digest])
        self._changed = threading.Condition()
        self._asked: set[str] | None = None
        self._error: dict[str, Exception] = {}
        self._closed = False
        self._threads = 0

    def start(self) -> None:
        """Let there be as many threads as there is work for."""
        with self._changed:
            waiting = sum(not job.done for job in self._jobs.values())
            wanted = 0 if self._closed else min(os.cpu_count() or 1, waiting)
            while self._threads < wanted:
                self._threads += 1
                threading.Thread(target=self._run, name="pushsafe-hash", daemon=True).start()

    def check(self, digests: Collection[str], tell: Callable[[int, int], None]) -> None:
        """Wait until all of them were found right; from now on no others are read. Raises UsageError for the first."""
        with self._changed:
            known = [digest for digest in dict.fromkeys(digests) if digest in self._jobs]
            self._asked = (self._asked or set()) | set(known)
        self.start()
        jobs = [self._jobs[digest] for digest in known]
        total = sum(job.content.blob.size for job in jobs)
        told, last = -1, 0.0
        while True:
            with self._changed:
                for digest in known:
                    if digest in self._error:
                        raise self._error[digest]
                if all(job.done for job in jobs):
                    break
                if self._closed:
                    raise UsageError("the image was closed before its content was checked")
                self._changed.wait(_PAUSE)
            read, now = sum(job.read for job in jobs), time.monotonic()
            if read != told and now - last >= _PAUSE:
                tell(read, total)
                told, last = read, now
        tell(total, total)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    # ------------------------------------------------------------------ threads

    def _run(self) -> None:
        while True:
            with self._changed:
                job = self._next()
                if job is None:
                    self._threads -= 1
                    return
                job.taken = True
            error = self._hash(job)
            with self._changed:
                job.taken = False
                if error is not None:
                    self._error[job.content.blob.digest] = error
                self._changed.notify_all()

    def _next(self) -> _Job | None:
        if self._closed:
            return None
        return next((job for job in self._jobs.values() if not (job.taken or job.done) and self._wants(job)), None)

    def _wants(self, job: _Job) -> bool:
        digest = job.content.blob.digest
        return not self._closed and digest not in self._error and (self._asked is None or digest in self._asked)

    def _hash(self, job: _Job) -> Exception | None:
        """What is wrong with it. Whoever waits gets it, be it a bug of ours: nobody else would end their waiting."""
        try:
            self._read(job)
        except ContentBroken as error:
            return UsageError(error.message, AGAIN)
        except Exception as error:  # noqa: BLE001
            return error
        return None

    def _read(self, job: _Job) -> None:
        """Read it to its end, or until nobody wants it any more. Raises UsageError where it is something else."""
        digest = job.content.blob.digest
        algorithm = digest.partition(":")[0]
        seen = hashlib.new(algorithm)
        job.read = 0
        stamp = job.content.stamp() if isinstance(job.content, StoredBlob) else None
        for part in job.content.parts():
            seen.update(part)
            job.read += len(part)
            if not self._wants(job):
                return
        found = f"{algorithm}:{seen.hexdigest()}"
        if found != digest:
            raise UsageError(f"{job.content.file}: its content has the digest {found}, and not {digest}", AGAIN)
        if isinstance(job.content, StoredBlob):
            job.content.found_right(stamp)
        self._finish(job)

    @staticmethod
    def _finish(job: _Job) -> None:
        job.read = job.content.blob.size
        job.done = True
