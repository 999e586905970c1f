"""The command line: argv becomes a request, the gateways are built, the report is shown, the exit code chosen."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import click

from pushsafe import __version__, plugin
from pushsafe.errors import PushsafeError, UsageError
from pushsafe.exitcodes import ExitCode, exit_code
from pushsafe.model import (
    BadReference,
    ErrorKind,
    Platform,
    PushRequest,
    Reference,
    Report,
    RunError,
)
from pushsafe.plugin import COMPLETE, COMPLETE_NO_DESCRIPTIONS, DockerFlags
from pushsafe.reference import parse, parse_repository
from pushsafe.report import human
from pushsafe.rules import RULES, Rule

_PROGRAM = "docker pushsafe"


class Session(NamedTuple):
    """What a command needs of its surroundings: docker's global flags and the environment."""

    flags: DockerFlags
    environ: Mapping[str, str]


class Output(NamedTuple):
    """How the report is shown, and where else it is written."""

    format: str
    quiet: bool
    digest_file: str | None


def main(argv: Sequence[str]) -> int:
    """Run one command line (without the program's name) and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without ✓ shows ?, and no traceback
    try:
        return _main(tuple(argv))
    except PushsafeError as error:
        kind = ErrorKind.USAGE if isinstance(error, UsageError) else ErrorKind.UNREACHABLE
        _show_errors((RunError(kind, error.message, error.hint),))
        return exit_code(Report(__version__, errors=(RunError(kind, error.message, error.hint),)))
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        _show_errors((RunError(ErrorKind.USAGE, error.format_message(), f"{_PROGRAM} --help"),))
        return ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); what could not be shown is not our failure to tell.
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - lives until the process ends
        return ExitCode.FAILED
    except Exception:  # noqa: BLE001 - the last handler: whatever comes here is a bug of ours
        return _bug()


def _main(argv: tuple[str, ...]) -> int:
    invocation = plugin.split(argv, os.environ)
    args = invocation.args
    if args[:1] in ((COMPLETE,), (COMPLETE_NO_DESCRIPTIONS,)):
        sys.stdout.write(_completion(args))
        return ExitCode.OK
    session = Session(invocation.flags, os.environ)
    # A subcommand's name wins over a reference: a bare word can never be pushed anyway.
    command = _COMMANDS.get(args[0]) if args else None
    if command is not None:
        return _invoke(command, args[1:], f"{_PROGRAM} {args[0]}", session)
    return _invoke(push, args or ("--help",), _PROGRAM, session)


def _invoke(command: click.Command, args: Sequence[str], name: str, session: Session) -> int:
    status: Any = command.main(list(args), prog_name=name, standalone_mode=False, obj=session)
    sys.stdout.flush()
    return int(status or 0)


# --------------------------------------------------------------------------- the main command


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Commands: `rules` lists the rules, `explain CODE` explains one. `COMMAND --help` tells more.",
)
@click.argument("references", nargs=-1, metavar="REF [REF...]")
@click.option("-a", "--all-tags", is_flag=True, help="Push every tag that the engine holds of each REF, a repository.")
@click.option("--allow", multiple=True, metavar="CODE", help="Let one rule pass for this run; repeatable.")
@click.option("--digest-file", metavar="FILE", help="Write REF@DIGEST of every verified tag to FILE, one a line.")
@click.option("-f", "--file", "files", multiple=True, metavar="FILE", help="Read references from FILE (- for stdin).")
@click.option("--format", "format_", type=click.Choice(["human", "json"]), default="human", help="Form of the report.")
@click.option("--platform", metavar="OS/ARCH", help="Push this platform only, of a multi-platform image (API 1.46).")
@click.option("-q", "--quiet", is_flag=True, help="Print only the references that were pushed and verified.")
@click.version_option(__version__, "--version", prog_name=_PROGRAM, message="%(prog)s %(version)s")
@click.pass_obj
def push(
    session: Session,
    references: tuple[str, ...],
    all_tags: bool,
    allow: tuple[str, ...],
    digest_file: str | None,
    files: tuple[str, ...],
    format_: str,
    platform: str | None,
    quiet: bool,
) -> int:
    """Check, push and verify images.

    Refuses a push that would go wrong before a byte is sent, pushes every listed tag, reads each one back from the
    registry, and says of a denial whether nobody was logged in or the account may not write.
    """
    output = Output(format_, quiet, digest_file)
    texts = [*references, *(line for file in files for line in _lines(file))]
    if not texts:
        raise UsageError("no reference is given", f"{_PROGRAM} REGISTRY/NAMESPACE/NAME:TAG")
    read = [parse_repository(text) if all_tags else parse(text) for text in texts]
    allowed = frozenset(_code(text) for text in allow)
    platforms = _platforms(platform)
    if digest_file is not None:
        _require_writable(digest_file)
    bad = tuple(_bad_reference(item) for item in read if isinstance(item, BadReference))
    if bad:
        return _show(Report(__version__, errors=bad), output)
    good = tuple(item for item in read if isinstance(item, Reference))
    return _show(_run(session, PushRequest(good, allowed, all_tags, platforms), output), output)


def _run(session: Session, request: PushRequest, output: Output) -> Report:
    with ExitStack() as stack:
        # Before the imports: docker may tell us to stop while they go on.
        stack.enter_context(plugin.install_stop(session.environ))
        # Imported here: `--help`, `rules` and a bad reference need none of it.
        from pushsafe.pipeline import run
        from pushsafe.wiring import gateways

        outside = stack.enter_context(gateways(session.flags, session.environ))
        for warning in outside.credentials.warnings:
            click.echo(f"warning: {warning}", err=True)
        display = stack.enter_context(_display(request, output))
        return run(request, outside, display)


@contextmanager
def _display(request: PushRequest, output: Output) -> Iterator[Any]:
    from pushsafe.report.progress import Lazy, Lines, Live, Silent

    if output.quiet:
        display: Any = Silent()
    elif sys.stderr.isatty():
        display = Lazy(lambda: Live(request.references))
    else:
        display = Lines(request.references)
    try:
        yield display
    finally:
        display.close()


# --------------------------------------------------------------------------- other commands


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_obj
def rules(_session: Session) -> int:
    """List the lint rules: code, level, name and summary."""
    for rule in RULES:
        click.echo(f"{rule.code}  {rule.severity.value:<8} {rule.slug:<32} {rule.summary}")
    return ExitCode.OK


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("code")
@click.pass_obj
def explain(_session: Session, code: str) -> int:
    """Explain a lint rule: what fires it, why it matters, what mends it."""
    rule = _rule(code)
    click.echo(f"{rule.code} {rule.slug} ({rule.severity.value}): {rule.summary}\n")
    click.echo(click.wrap_text(rule.explanation, width=min(100, _width())))
    click.echo(
        f"\nfires on:  {rule.example}\nto mend:   {rule.fix}\nto pass:   --allow {rule.code} lets it pass for one run"
    )
    return ExitCode.OK


_COMMANDS: dict[str, click.Command] = {"rules": rules, "explain": explain}


def _completion(args: Sequence[str]) -> str:
    commands = [(name, command.get_short_help_str()) for name, command in _COMMANDS.items()]
    options = {name: _options(command) for name, command in _COMMANDS.items()} | {"": _options(push)}
    return plugin.complete(args, commands, options)


def _options(command: click.Command) -> list[tuple[str, str]]:
    return [
        (name, option.help or "")
        for option in command.params
        if isinstance(option, click.Option)
        for name in option.opts
    ]


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns


# --------------------------------------------------------------------------- reading the command line


def _lines(file: str) -> list[str]:
    """References of a file, one a line; blank lines and lines that start with # do not count."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", "-f FILE, or -f - for standard input") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not a text file", "-f FILE with one reference a line") from error
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def _bad_reference(item: BadReference) -> RunError:
    reasons = "; ".join(item.reasons)
    return RunError(ErrorKind.USAGE, f"{item.given!r} is not a reference: {reasons}", item.repair)


def _code(text: str) -> str:
    return _rule(text).code


def _rule(text: str) -> Rule:
    for rule in RULES:
        if text.upper() == rule.code or text.lower() == rule.slug:
            return rule
    raise UsageError(f"there is no rule {text!r}", f"{_PROGRAM} rules")


def _platforms(text: str | None) -> tuple[Platform, ...]:
    if text is None:
        return ()
    found = []
    for item in text.split(","):
        parts = item.strip().lower().split("/")
        if len(parts) not in (2, 3) or not all(part.replace(".", "").replace("-", "").isalnum() for part in parts):
            raise UsageError(f"{item!r} is not a platform", "--platform OS/ARCH[/VARIANT], e.g. linux/arm64")
        found.append(Platform(*parts))
    return tuple(dict.fromkeys(found))


def _require_writable(file: str) -> None:
    """Refuse a digest file that could not be written before anything is pushed."""
    folder = Path(file).absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK) or Path(file).is_dir():
        raise UsageError(f"cannot write {file}", "--digest-file FILE in a folder that exists and is writable")


# --------------------------------------------------------------------------- showing


def _show(report: Report, output: Output) -> int:
    """Render the report, write the digest file, and return the exit code."""
    if output.digest_file is not None:
        _write_digests(output.digest_file, report)
    _show_errors(report.errors)
    if output.format == "json":
        from pushsafe.report import json

        sys.stdout.write(json.render(report))
    elif output.quiet:
        sys.stdout.write(human.render_quiet(report))
        sys.stderr.write(human.render(_without_verified(report), color=_color(sys.stderr)))
    else:
        sys.stdout.write(human.render(report, color=_color(sys.stdout)))
    sys.stdout.flush()
    return exit_code(report)


def _without_verified(report: Report) -> Report:
    """What `--quiet` still says on stderr: what went wrong, and nothing where nothing did."""
    if exit_code(report) is ExitCode.OK:
        return report._replace(results=(), findings=())
    return report


def _show_errors(errors: Sequence[RunError]) -> None:
    sys.stderr.write(human.render_errors(errors, color=_color(sys.stderr)))
    sys.stderr.flush()


def _write_digests(file: str, report: Report) -> None:
    """Write the verified tags; the file appears whole or not at all."""
    from pushsafe.report.digests import render

    target = Path(file).absolute()
    half = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        half.write_text(render(report), encoding="utf-8")
        half.replace(target)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise UsageError(f"cannot write {file}: {error.strerror}", "the push itself has been done") from error


def _color(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _bug() -> int:
    """Say that this is ours, and write what is needed to mend it to a log; nothing of it is a secret."""
    import platform
    import time
    import traceback

    from pushsafe.sanitize import clean

    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    log = Path(home) / "docker-pushsafe" / time.strftime("bug-%Y%m%d-%H%M%S.log")
    lines = [
        f"docker pushsafe {__version__}, Python {platform.python_version()}, {platform.platform()}",
        *(clean(line, limit=1000) for line in traceback.format_exc().splitlines()),
    ]
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("\n".join(lines) + "\n", encoding="utf-8")
        where = f"the log is {log}"
    except OSError as error:
        where = f"no log could be written ({error.strerror}); {lines[-1]}"
    _show_errors((RunError(ErrorKind.USAGE, f"this is a bug of docker pushsafe: {where}", ""),))
    return ExitCode.BUG


def option_table() -> list[tuple[str, str]]:
    """Every option of the main command as it is written, with its meaning."""
    context = click.Context(push)
    records = (option.get_help_record(context) for option in push.params if isinstance(option, click.Option))
    return [(record[0], record[1]) for record in records if record is not None]
