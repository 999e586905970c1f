"""The command line: selects the command, returns the exit code, and completes words."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from pushsafe import __version__
from pushsafe.cli import plugin
from pushsafe.cli.commands import COMMANDS
from pushsafe.cli.plugin import COMPLETE, COMPLETE_NO_DESCRIPTIONS
from pushsafe.cli.session import Session
from pushsafe.model.errors import PushsafeError
from pushsafe.model.report import ErrorKind, Report, RunError
from pushsafe.push.results import error_of
from pushsafe.report.exit_codes import ExitCode, exit_code
from pushsafe.report.output import end, show_errors
from pushsafe.runtime import streams

_PROGRAM = "docker pushsafe"
_DOCKERS = ("--context", "-c", "--host", "-H", "--config", "--tls", "--tlsverify")


def main(argv: Sequence[str]) -> int:
    """Run one command line (without the program's name) and return its exit code."""
    try:
        streams.prepare()
        return _main(tuple(argv))
    except PushsafeError as error:
        ended = error_of(error)
        show_errors((ended,))
        return exit_code(Report(__version__, errors=(ended,)))
    except click.ClickException as error:
        show_errors((_usage(error),))
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
    from pushsafe.cli import crash_log

    show_errors((RunError(ErrorKind.USAGE, f"this is a bug of docker pushsafe: {crash_log.write()}"),))
    return ExitCode.BUG


def _usage(error: click.ClickException) -> RunError:
    """click's usage error; docker's own flags belong before our name."""
    if isinstance(error, click.NoSuchOption) and error.option_name in _DOCKERS:
        return RunError(
            ErrorKind.USAGE,
            f"{error.option_name} is docker's own flag, and stands before the plugin's name",
            f"docker {error.option_name} ... pushsafe REF",
        )
    command = error.ctx.info_name if isinstance(error, click.UsageError) and error.ctx else _PROGRAM
    if isinstance(error, click.MissingParameter) and command == f"{_PROGRAM} explain":
        return RunError(ErrorKind.USAGE, error.format_message(), f"{_PROGRAM} rules")
    return RunError(ErrorKind.USAGE, error.format_message(), f"{command} --help")


def _main(argv: tuple[str, ...]) -> int:
    invocation = plugin.split(argv, os.environ)
    args = invocation.args
    if args[:1] in ((COMPLETE,), (COMPLETE_NO_DESCRIPTIONS,)):
        return end(ExitCode.OK, streams.show(_completion(args)))
    session = Session(invocation.flags, os.environ)
    if args and args[0] in COMMANDS:
        return _invoke(COMMANDS[args[0]].load(), args[1:], f"{_PROGRAM} {args[0]}", session)
    return _invoke(_push(), args, _PROGRAM, session)


def _push() -> click.Command:
    from pushsafe.cli.commands.push import push

    return push


def _invoke(command: click.Command, args: Sequence[str], name: str, session: Session) -> int:
    try:
        # Not command.main, which ends the process with status 1 for a broken pipe.
        context = command.make_context(name, list(args), obj=session)
    except click.exceptions.Exit as shown:  # --help, --version
        return shown.exit_code
    except OSError as error:  # of --help or --version: nothing else does I/O here
        return end(ExitCode.OK, streams.lost(error))
    with context:
        return int(command.invoke(context))


def _completion(args: Sequence[str]) -> str:
    loaded = {name: entry.load() for name, entry in COMMANDS.items()}
    commands = [(name, command.get_short_help_str()) for name, command in loaded.items()]
    options = {name: _options(command) for name, command in loaded.items()} | {"": _options(_push())}
    return plugin.complete(args, commands, options)


def _options(command: click.Command) -> list[tuple[str, str]]:
    return [
        (name, option.help or "")
        for option in command.params
        if isinstance(option, click.Option)
        for name in (*option.opts, *option.secondary_opts)
    ]


def option_table() -> list[tuple[str, str]]:
    """The options of the main command and their help."""
    push = _push()
    context = click.Context(push)
    records = (option.get_help_record(context) for option in push.params if isinstance(option, click.Option))
    return [(record[0], record[1]) for record in records if record is not None]
