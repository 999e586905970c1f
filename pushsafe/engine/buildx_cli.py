"""`docker buildx`: its version, its builders, and builds."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pushsafe.engine.process import Child, stop
from pushsafe.model.errors import UsageError
from pushsafe.model.facts import Builder, Buildx
from pushsafe.model.outcomes import BuildAnswer, BuildFailed, Built
from pushsafe.model.request import CLI_VARIABLE, BakeTarget, Build, DockerFlags
from pushsafe.model.versions import at_least
from pushsafe.oci.platform import Platform, read
from pushsafe.runtime import streams
from pushsafe.runtime.redact import clean, clean_line
from pushsafe.runtime.signals import SOCKET_VARIABLE

OLDEST = "0.13"
"""The first buildx whose `ls` has `--format json` (docker/buildx release v0.13.0)."""

_GRACE = 2.0
"""Seconds to end in, once the answer is not needed any more."""
_LOOK = 30.0
"""Seconds for buildx to describe itself; it gives each of its builders 20."""
_METADATA = 16 << 20
"""Most bytes of a metadata file; the provenance of many targets takes a few hundred thousand."""
_TARGET = re.compile(r"[a-zA-Z0-9_-]+")
"""The name of bake's target, docker/buildx `bake/bake.go`."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_VERSION = re.compile(r"\bbuildx v?(\d+(?:\.\d+)+)")
_UNKNOWN_COMMAND = re.compile(r"is not a docker command|unknown command")
_READ = 300.0
"""Seconds for bake's definition, which may be in a repository to be cloned."""
_WORKER = "org.mobyproject.buildkit.worker.executor"
"""The label of an engine's own worker that builds into the containerd image store (moby `builder-next/worker`)."""


class Cli:
    """The docker command with the global flags given to us. Methods raise UsageError if it is missing."""

    def __init__(self, flags: DockerFlags, environ: Mapping[str, str]) -> None:
        # docker gives its own name here; our commands must not be stopped through its socket.
        self._environ = {name: value for name, value in environ.items() if name not in (CLI_VARIABLE, SOCKET_VARIABLE)}
        self._words = (environ.get(CLI_VARIABLE) or "docker", *_written(flags))

    def start(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start `docker WORDS`; the options are Popen's."""
        try:
            return subprocess.Popen((*self._words, *words), env=self._environ, **options)
        except OSError as error:
            raise UsageError(f"the docker command cannot be run: {error.strerror}", "which docker") from error

    @contextmanager
    def ask(self, *words: str, given: bytes | None = None) -> Iterator[_Asked]:
        """Run `docker WORDS` with `given` as input, and keep its output; it is stopped at the end of the block."""
        with self.given(given or b"") as stdin:
            process = self.start(*words, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            yield _Asked(process)
        finally:
            if process.poll() is None:
                stop(process, _GRACE)
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()  # also if a grandchild holds the other end

    @contextmanager
    def given(self, content: bytes | None) -> Iterator[IO[bytes] | None]:
        """Standard input for a command: `content`, or our own for `None`."""
        if content is None:
            yield None
            return
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.seek(0)
            yield file


class _Asked:
    """A short command that runs."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def answer(self, limit: float = _LOOK) -> tuple[int, str, str]:
        """Status, output and errors; status -1 for a timeout."""
        try:
            output, errors = self._process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            return -1, "", f"no answer within {limit:g} seconds"
        return self._process.returncode, output.decode("utf-8", "replace"), errors.decode("utf-8", "replace")


class BuildxCommand:
    """`docker buildx` with docker's engine and configuration."""

    def __init__(self, flags: DockerFlags, environ: Mapping[str, str]) -> None:
        self._cli = Cli(flags, environ)

    def targets(
        self, flags: Sequence[str], rest: Sequence[str] = (), definition: bytes | None = None
    ) -> tuple[BakeTarget, ...]:
        """The targets that bake would push. Raises UsageError with buildx's message."""
        # Our flags come last, as the last one counts.
        with self._cli.ask("buildx", "bake", *flags, "--print", "--push", *rest, given=definition) as asked:
            status, shown, errors = asked.answer(_READ)
        if status:
            streams.tell("".join(f"{clean_line(line)}\n" for line in errors.splitlines()))
            said = f"docker buildx bake --print ended with status {status}: {_last(errors)}"
            raise UsageError(said, "docker buildx bake --print")
        try:
            found = json.loads(shown)
        except (ValueError, RecursionError) as error:
            raise UsageError("docker buildx bake --print shows no targets", "docker buildx bake --print") from error
        targets = found.get("target") if isinstance(found, dict) else None
        named = targets.items() if isinstance(targets, dict) else ()
        return tuple(_bake_target(name, entry) for name, entry in named if isinstance(entry, dict))

    def run(self, build: Build) -> BuildAnswer:
        """Build and push, with buildx's output on standard error. An interruption stops buildx first."""
        with tempfile.TemporaryDirectory(prefix="pushsafe-") as folder:
            file = Path(build.metadata_file or Path(folder, "metadata.json"))
            before = _state(file)
            words = ["buildx", build.command, "--push"]
            if not build.metadata_file:
                words += ["--metadata-file", str(file)]
            with self._cli.given(build.definition) as stdin:
                # With our inherited descriptors, which a word may name: `--secret id=x,src=<(...)`.
                options = {"stdin": stdin, "close_fds": False}
                child = Child(lambda **pipes: self._cli.start(*words, *build.arguments, **options, **pipes))
                status, said = child.run(quiet=build.quiet)
            if status:
                return BuildFailed(status, said)
            # An unchanged file is another build's.
            return _built(file, build) if _state(file) != before else Built(())

    def look(self, builder: str = "") -> Buildx:
        """The installed version and the builders; `builder`, if named, is the current one."""
        try:
            with (
                self._cli.ask("buildx", "version") as version,
                self._cli.ask("buildx", "ls", "--format", "json") as listing,
            ):
                status, said, errors = version.answer()
                _, listed, trouble = listing.answer()
        except UsageError as error:
            return Buildx(problem=error.message)
        if status and _UNKNOWN_COMMAND.search(errors):
            return Buildx(problem="buildx is not installed", to_install=True)
        if status:
            return Buildx(problem=f"buildx does not run: {_last(errors)}")
        found = _VERSION.search(said)
        if found is None:
            return Buildx(problem=f"buildx names no version: {clean(said, limit=100)}")
        if not at_least(found[1], OLDEST):
            problem = f"buildx {found[1]} is too old: {OLDEST} or newer is needed"
            return Buildx(found[1], problem=problem, to_install=True)
        builders = tuple(_builders(listed, builder))
        return Buildx(found[1], builders, "" if builders else f"buildx names no builder: {_last(trouble)}")


def _written(flags: DockerFlags) -> tuple[str, ...]:
    """docker's global flags as words of a command line."""
    words: list[str] = []
    for name, value in zip(DockerFlags._fields, flags, strict=True):
        option = f"--{name.replace('_', '-')}"
        for one in value if isinstance(value, tuple) else (value,):
            if one is not None:
                words.append(f"{option}={str(one).lower() if isinstance(one, bool) else one}")
    return tuple(words)


def _builders(lines: str, named: str) -> Iterable[Builder]:
    """The builders in the output of `buildx ls --format json`, one object a line; other lines are skipped."""
    for line in lines.splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and entry.get("Name"):
            found = _builder(entry)
            yield found._replace(current=found.name == named) if named else found


def _builder(entry: Mapping[str, Any]) -> Builder:
    nodes = [node for node in _list(entry.get("Nodes")) if isinstance(node, dict)]
    driver = clean(str(entry.get("Driver") or ""), limit=40)
    labels = [node.get("Labels") for node in nodes]
    names = dict.fromkeys(str(name) for node in nodes for name in _list(node.get("Platforms")))
    platforms = tuple(one for name in names if (one := read(name.rstrip("*"))) is not None)
    return Builder(
        name=clean(str(entry["Name"]), limit=100),
        driver=driver,
        platforms=tuple(dict.fromkeys(platforms)),
        several=driver not in ("", "docker") or any(isinstance(one, dict) and _WORKER in one for one in labels),
        current=entry.get("Current") is True,
        problem=_problem(entry, nodes),
        # A worker names its own platform first, but after those that its user added, marked with a *.
        native=_native(platforms[0]) if platforms and not any(name.endswith("*") for name in names) else None,
    )


def _native(platform: Platform) -> Platform:
    """The platform that is built by default; `amd64/v3` is only one that the processor can also run."""
    return platform._replace(variant="") if platform.architecture == "amd64" else platform


def _problem(entry: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> str:
    told = [entry.get("Err"), *(node.get("Err") for node in nodes)]
    said = next((one for one in told if isinstance(one, str) and one), "")
    if not said and nodes and all(node.get("Status") == "error" for node in nodes):
        said = "it cannot be reached"
    return clean(said, limit=200)


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return clean(lines[-1], limit=300) if lines else "it says nothing"


def _bake_target(name: str, entry: Mapping[str, Any]) -> BakeTarget:
    if not _TARGET.fullmatch(name):
        raise UsageError(f"docker buildx bake --print shows a target of an odd name: {clean(name, limit=100)!r}")
    outputs = (one for one in _list(entry.get("output")) if isinstance(one, dict))
    call = entry.get("call")
    return BakeTarget(
        name,
        tags=tuple(map(str, _list(entry.get("tags")))),
        platforms=tuple(map(str, _list(entry.get("platforms")))),
        outputs=tuple(map(_output, outputs)),
        call=clean(call, limit=40) if isinstance(call, str) else "",
        caches=tuple(map(_cache, _list(entry.get("cache-to")))),
    )


def _output(entry: Mapping[str, Any]) -> str:
    """`registry` for an output that pushes the tags, else its type."""
    kind = clean(str(entry.get("type") or "unknown"), limit=40)
    if kind != "registry" and not (kind == "image" and entry.get("push") == "true"):
        return kind
    return "push-by-digest" if entry.get("push-by-digest", "false") != "false" else "registry"


def _cache(entry: Any) -> str:
    """A cache's target as in `--cache-to`; older versions show it as written."""
    if not isinstance(entry, dict):
        return str(entry)
    return ",".join(f"{name}={entry[name]}" for name in ("type", "ref") if name in entry)


def _built(file: Path, build: Build) -> Built:
    """The digests and names in a metadata file, as far as they are valid. bake has an entry for each target."""
    try:
        found = json.loads(file.read_bytes()[:_METADATA])
    except (OSError, ValueError, RecursionError):
        return Built(())
    if not isinstance(found, dict):
        return Built(())
    entries = {name: entry for name, entry in found.items() if isinstance(entry, dict)}
    if build.command == "build":
        entries = {"": found}
    ours = {target.name for target in build.targets}
    digests = ((name, entry.get("containerimage.digest")) for name, entry in entries.items() if name in ours)
    names = ((name, entry.get("image.name")) for name, entry in entries.items())
    return Built(
        tuple((name, one) for name, one in digests if isinstance(one, str) and _DIGEST.fullmatch(one)),
        tuple((name, tuple(one.split(","))) for name, one in names if isinstance(one, str) and one),
    )


def _state(file: Path) -> tuple[int, int, int] | None:
    """A value that changes when a file is written."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
