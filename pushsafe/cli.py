"""The command line: argv becomes a request, the gateways are built, the report is shown, the exit code chosen."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import click

from pushsafe import __version__, arguments, plugin, streams
from pushsafe.errors import PushsafeError, UsageError
from pushsafe.exitcodes import ExitCode, exit_code
from pushsafe.model import (
    BadReference,
    ErrorKind,
    Facts,
    PushRequest,
    Reference,
    Report,
    RunError,
)
from pushsafe.plugin import COMPLETE, COMPLETE_NO_DESCRIPTIONS, DockerFlags
from pushsafe.reference import parse, parse_repository
from pushsafe.report import human
from pushsafe.results import error_of, report_of
from pushsafe.rules import RULES

if TYPE_CHECKING:
    from pushsafe.digest_file import DigestFile

_PROGRAM = "docker pushsafe"
_DOCKERS = ("--context", "-c", "--host", "-H", "--config", "--tls", "--tlsverify")


class Session(NamedTuple):
    """What a command needs of its surroundings: docker's global flags and the environment."""

    flags: DockerFlags
    environ: Mapping[str, str]


class Output(NamedTuple):
    """How the report is shown, and where else it is written."""

    format: str
    quiet: bool
    digest_file: DigestFile | None = None


def main(argv: Sequence[str]) -> int:
    """Run one command line (without the program's name) and return its exit code."""
    try:
        streams.prepare()
        return _main(tuple(argv))
    except PushsafeError as error:
        ended = error_of(error)
        _show_errors((ended,))
        return exit_code(Report(__version__, errors=(ended,)))
    except click.ClickException as error:
        _show_errors((_usage(error),))
        return ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort):
        streams.tell("interrupted\n")
        return ExitCode.INTERRUPTED
    except ImportError as error:
        if (error.name or "").startswith("pushsafe"):
            return _bug()
        raise  # the launcher names what this Python lacks
    except Exception:  # noqa: BLE001 - the last handler: whatever comes here is a bug of ours
        return _bug()


def _bug() -> int:
    from pushsafe import buglog

    _show_errors((RunError(ErrorKind.USAGE, f"this is a bug of docker pushsafe: {buglog.write()}"),))
    return ExitCode.BUG


def _usage(error: click.ClickException) -> RunError:
    """What click found wrong with the command line; a flag of docker's own belongs before our name."""
    if isinstance(error, click.NoSuchOption) and error.option_name in _DOCKERS:
        return RunError(
            ErrorKind.USAGE,
            f"{error.option_name} is docker's own flag, and stands before the plugin's name",
            f"docker {error.option_name} ... pushsafe REF",
        )
    if isinstance(error, click.MissingParameter):
        return RunError(ErrorKind.USAGE, error.format_message(), f"{_PROGRAM} rules")
    return RunError(ErrorKind.USAGE, error.format_message(), f"{_PROGRAM} --help")


def _main(argv: tuple[str, ...]) -> int:
    invocation = plugin.split(argv, os.environ)
    args = invocation.args
    if args[:1] in ((COMPLETE,), (COMPLETE_NO_DESCRIPTIONS,)):
        return _end(ExitCode.OK, streams.show(_completion(args)))
    session = Session(invocation.flags, os.environ)
    # A subcommand's name wins over a reference: a bare word can never be pushed anyway.
    command = _COMMANDS.get(args[0]) if args else None
    if command is not None:
        return _invoke(command, args[1:], f"{_PROGRAM} {args[0]}", session)
    return _invoke(push, args, _PROGRAM, session)


def _invoke(command: click.Command, args: Sequence[str], name: str, session: Session) -> int:
    try:
        # Not command.main: that one ends the process itself, with status 1, where a pipe is broken.
        context = command.make_context(name, list(args), obj=session)
    except click.exceptions.Exit as shown:  # --help, --version
        return shown.exit_code
    except OSError as error:  # nothing but these two writes or reads so early
        return _end(ExitCode.OK, streams.lost(error))
    with context:
        return int(command.invoke(context))


# --------------------------------------------------------------------------- the main command


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  docker pushsafe ghcr.io/myorg/my-api:1.4.2 ghcr.io/myorg/my-api:latest
  docker pushsafe -q --digest-file digests.txt -f tags.txt
  docker --context prod pushsafe registry.example.com/myorg/my-api:1.4.2

\b
Commands:
  rules         List the lint rules.
  explain CODE  Explain one of them.

\b
Exit codes: 0 pushed and verified, 1 refused by lint, 2 usage, 3 not reachable,
4 no authentication, 5 insufficient permission, 6 unclear which, 7 failed,
8 pushed but not confirmed, 70 a bug, 130 interrupted.
""",
)
@click.argument("references", nargs=-1, metavar="REF [REF...]")
@click.option("-a", "--all-tags", is_flag=True, help="Push every tag that the engine holds of each REF, a repository.")
@click.option("--allow", multiple=True, metavar="CODE", help="Let one rule pass for this run; repeatable.")
@click.option("--digest-file", metavar="FILE", help="Write REF@DIGEST of every verified tag to FILE, one a line.")
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    metavar="FILE",
    help="Read references from FILE (- for stdin), one a line; # starts a comment.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["human", "json"]),
    default="human",
    help="Form of the report; human if not given.",
)
@click.option(
    "--platform", metavar="OS/ARCH", help="Push this platform of a multi-platform image only (Docker 27 or newer)."
)
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
    output = Output(format_, quiet)
    try:
        texts = [*references, *(line for file in files for line in arguments.lines(file))]
        if not texts:
            raise UsageError("no reference is given", f"{_PROGRAM} REGISTRY/NAMESPACE/NAME:TAG   (--help for options)")
        read = [parse_repository(text) if all_tags else parse(text) for text in texts]
        allowed = frozenset(arguments.code(text) for text in allow)
        platforms = arguments.platforms(platform)
        if digest_file is not None:
            from pushsafe.digest_file import DigestFile

            output = output._replace(digest_file=DigestFile(digest_file))
    except UsageError as error:
        return _show(Report(__version__, errors=(error_of(error),)), output)
    bad = tuple(arguments.bad_reference(item) for item in read if isinstance(item, BadReference))
    if bad:
        return _show(Report(__version__, errors=bad), output)
    good = tuple(item for item in read if isinstance(item, Reference))
    return _show(_run(session, PushRequest(good, allowed, all_tags, platforms), output), output)


def _run(session: Session, request: PushRequest, output: Output) -> Report:
    """The report of the run, whatever ends it."""
    done: list[Report] = []
    try:
        with ExitStack() as stack:
            # Before the imports: docker may tell us to stop while they go on.
            stack.enter_context(plugin.install_stop(session.environ))
            # Imported here: `--help`, `rules` and a bad reference need none of it.
            from pushsafe.pipeline import run
            from pushsafe.wiring import gateways

            outside = stack.enter_context(gateways(session.flags, session.environ))
            for warning in outside.credentials.warnings:
                streams.tell(f"warning: {warning}\n")
            display = stack.enter_context(_display(request, output))
            done.append(run(request, outside, display))
    except PushsafeError as error:
        done.append(_nothing_done(request, "the run ended before it")._replace(errors=(error_of(error),)))
    except KeyboardInterrupt:
        done.append(_nothing_done(request, "interrupted")._replace(interrupted=True))
    return done[0]  # where the interruption came after the last word, that stands


def _nothing_done(request: PushRequest, why: str) -> Report:
    return report_of([Facts(reference, ()) for reference in request.references], (), {}, why, ())


@contextmanager
def _display(request: PushRequest, output: Output) -> Iterator[Any]:
    from pushsafe.report.progress import Lazy, Lines, Live, Silent

    if output.quiet:
        display: Any = Silent()
    elif sys.stderr.isatty():
        display = Lazy(Live)
    else:
        display = Lines(0 if request.all_tags else len({str(reference) for reference in request.references}))
    try:
        yield display
    finally:
        display.close()


# --------------------------------------------------------------------------- other commands


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_obj
def rules(_session: Session) -> int:
    """List the lint rules: code, level, name and summary."""
    listed = (f"{rule.code}  {rule.severity.value:<8} {rule.slug:<32} {rule.summary}\n" for rule in RULES)
    return _end(ExitCode.OK, streams.show("".join(listed)))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("code")
@click.pass_obj
def explain(_session: Session, code: str) -> int:
    """Explain a lint rule: what fires it, why it matters, what mends it."""
    rule = arguments.rule(code)
    told = click.wrap_text(rule.explanation, width=min(100, _width()))
    text = (
        f"{rule.code} {rule.slug} ({rule.severity.value}): {rule.summary}\n\n{told}\n\n"
        f"fires on:  {rule.example}\nto mend:   {rule.fix}\n"
        f"to pass:   --allow {rule.code} lets it pass for one run\n"
    )
    return _end(ExitCode.OK, streams.show(text))


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


# --------------------------------------------------------------------------- showing


def _show(report: Report, output: Output) -> int:
    """Render the report, write the digest file, and return the exit code: that of the run, whoever still listens."""
    status = exit_code(report)
    _show_errors(report.errors)
    if output.format == "json":
        from pushsafe.report import json

        problem = streams.show(json.render(report))
    elif output.quiet:
        problem = streams.show(human.render_quiet(report))
        streams.tell(human.render(_without_verified(report), color=_color(sys.stderr)))
    else:
        problem = streams.show(human.render(report, color=_color(sys.stdout)))
    if output.digest_file is not None:
        from pushsafe.report.digests import render

        unwritten = output.digest_file.write(render(report))
        if unwritten:
            _show_errors((RunError(ErrorKind.ENGINE, unwritten),))
            status = status or ExitCode.FAILED
    return _end(status, problem)


def _end(status: ExitCode, problem: str) -> int:
    """The exit code of a run or command whose output was written, or was not for this reason."""
    if not problem:
        return status
    _show_errors((RunError(ErrorKind.ENGINE, f"the report cannot be written: {problem}"),))
    return status or ExitCode.FAILED


def _without_verified(report: Report) -> Report:
    """What `--quiet` still says on stderr: what went wrong, and nothing where nothing did."""
    if exit_code(report) is ExitCode.OK:
        return report._replace(results=(), findings=())
    return report


def _show_errors(errors: Sequence[RunError]) -> None:
    streams.tell(human.render_errors(errors, color=_color(sys.stderr)))


def _color(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def option_table() -> list[tuple[str, str]]:
    """Every option of the main command as it is written, with its meaning."""
    context = click.Context(push)
    records = (option.get_help_record(context) for option in push.params if isinstance(option, click.Option))
    return [(record[0], record[1]) for record in records if record is not None]
