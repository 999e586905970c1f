"""`docker pushsafe REF...` and `docker pushsafe lint REF...`: all the checks, with the push and without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from shlex import quote
from typing import Any

import click

from pushsafe import __version__
from pushsafe.cli import options, params
from pushsafe.cli.commands import command_list
from pushsafe.cli.session import Session, in_time, run
from pushsafe.cli.settings import Settings, whole_number
from pushsafe.model.errors import PushsafeError, UsageError
from pushsafe.model.request import Asks, PushRequest
from pushsafe.oci.reference import parse, parse_repository
from pushsafe.report.output import Output, show
from pushsafe.sources import transport_list

_EPILOG = f"""\b
Examples:
  docker pushsafe ghcr.io/myorg/my-api:1.4.2 ghcr.io/myorg/my-api:latest
  docker pushsafe -q --digest-file digests.txt -f tags.txt
  docker pushsafe --dry-run -a registry.example.com/myorg/my-api
  docker --context prod pushsafe registry.example.com/myorg/my-api:1.4.2
  docker pushsafe --from oci:build/image ghcr.io/myorg/my-api:1.4.2

\b
Commands:
{command_list()}

\b
Exit codes: 0 pushed and verified, 1 refused by lint, 2 usage, 3 not reachable,
4 no authentication, 5 insufficient permission, 6 unclear which, 7 failed,
8 pushed but not confirmed, 70 a bug, 130 interrupted.
"""


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What both commands take."""
    for add in reversed(
        (
            click.argument("references", nargs=-1, metavar="REF [REF...]"),
            click.option(
                "-a", "--all-tags", is_flag=True, help="Take every tag that the engine holds of each REF, a repository."
            ),
            options.allow,
            click.option(
                "-f",
                "--file",
                "files",
                multiple=True,
                metavar="FILE",
                help="Read references from FILE (- for stdin), one a line; # starts a comment.",
            ),
            options.format_,
            click.option(
                "--from",
                "origins",
                multiple=True,
                metavar="KIND:PATH",
                help=f"Take an image that lies in files, without an engine: {transport_list()}.",
            ),
            click.option(
                "--platform",
                "platforms",
                multiple=True,
                metavar="OS/ARCH",
                help="Push only this platform of a multi-platform image (an engine needs Docker 27 or newer); with "
                "--from also several, A,B, as an index of their own.",
            ),
            options.timeout,
        )
    ):
        command = add(command)
    return command


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EPILOG,
)
@_options
@options.digest_file
@options.dry_run
@options.preflight
@click.option("--push-each", is_flag=True, help="Let the engine push every tag, those that are there already as well.")
@options.retries
@options.quiet
@options.timings
@options.verify_timeout
@click.version_option(__version__, "--version", prog_name="docker pushsafe", message="%(prog)s %(version)s")
@click.pass_obj
def push(
    session: Session,
    /,
    digest_file: str | None,
    dry_run: bool,
    preflight: bool | None,
    push_each: bool,
    retries: str | None,
    quiet: bool,
    timings: bool,
    verify_timeout: str | None,
    **common: Any,
) -> int:
    """Check, push and verify images.

    Refuses a push that would go wrong before a byte is sent, pushes every listed tag, reads each one back from the
    registry, and says of a denial whether nobody was logged in or the account may not write.
    """
    output = Output(common["format_"], quiet, timings=timings)
    try:
        options.require_sense(dry_run=dry_run, quiet=quiet, digest_file=digest_file)
        again = None if retries is None else whole_number(retries)
        settings = session.settings(
            preflight=preflight, timeout=common["timeout"], retries=again, verify_timeout=verify_timeout
        )
        if push_each and common["origins"]:
            raise UsageError("--push-each is for an engine's images, and --from for those in files", "leave one out")
        request = _request(common, settings)._replace(
            asks=Asks.PREFLIGHT if settings.preflight else Asks.LOGIN,
            pushes=not dry_run,
            planned=dry_run,
            push_each=push_each,
            retries=settings.retries,
            verify_timeout=settings.verify_timeout,
        )
        output = options.with_digest_file(output, digest_file)
    except PushsafeError as error:
        return show(options.unusable(error), output)
    return show(run(session, request, output, settings.timeout)._replace(preflight_off=settings.preflight_off), output)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@_options
@click.option("--offline", is_flag=True, help="Ask no registry: keep to what this machine and its engine know.")
@click.pass_obj
def lint(session: Session, /, offline: bool, **common: Any) -> int:
    """Check all that a push would check, and push nothing.

    The registries are asked what a push would meet (an upload is started and cancelled) and what each tag names now.
    """
    output = Output(common["format_"])
    try:
        settings = session.settings(timeout=common["timeout"])
        asks = Asks.NOTHING if offline else Asks.PREFLIGHT
        request = _request(common, settings, "docker pushsafe lint")._replace(asks=asks, pushes=False)
    except PushsafeError as error:
        return show(options.unusable(error), output)
    return show(run(session, request, output, settings.timeout), output)


def _listed(files: Sequence[str], timeout: float | None) -> list[str]:
    with in_time(timeout, "references were read"):
        return [line for file in files for line in params.lines(file)]


def _request(common: dict[str, Any], settings: Settings, command: str = "docker pushsafe") -> PushRequest:
    texts = [*common["references"], *_listed(common["files"], settings.timeout)]
    all_tags = common["all_tags"]
    if not texts:
        given = "no reference is given" + (
            f", nor does {' or '.join(common['files'])} hold one" if common["files"] else ""
        )
        told = f"{command} --from {quote(common['origins'][0])}" if common["origins"] else command
        written = f"{command} -a REGISTRY/NAMESPACE/NAME" if all_tags else f"{told} REGISTRY/NAMESPACE/NAME:TAG"
        raise UsageError(given, f"{written}   (--help for options)")
    if len(common["origins"]) > 1:
        raise UsageError(f"--from is given more than once: {', '.join(common['origins'])}", "one of them for each run")
    origin = params.archive(common["origins"][0]) if common["origins"] else None
    if all_tags and origin is not None:
        raise UsageError(
            "--all-tags takes the tags of an engine, and --from an image that has none of them",
            f"{command} --from {quote(origin.given)} REF [REF...]",
        )
    for text in common["references"]:
        params.no_command(text)
    for text in texts:
        params.no_archive(text)
    read = [parse_repository(text) if all_tags else parse(text) for text in texts]
    allowed = frozenset(params.code(text) for text in common["allow"])
    platforms = params.platforms(common["platforms"])
    return PushRequest(params.readable(read), allowed, all_tags, platforms, settings.policy, origin=origin)
