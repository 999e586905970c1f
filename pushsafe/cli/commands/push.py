"""`docker pushsafe REF...` and `docker pushsafe lint REF...`: all checks, with and without the push."""

from __future__ import annotations

from shlex import quote
from typing import Any, NamedTuple

import click

from pushsafe import __version__
from pushsafe.cli import options, params
from pushsafe.cli.commands import command_list
from pushsafe.cli.session import Session, in_time, run_and_show
from pushsafe.model.errors import UsageError
from pushsafe.model.request import Asks, PushRequest
from pushsafe.oci.reference import parse, parse_repository
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
Exit codes: 0 pushed and verified, 1 lint errors, 2 usage, 3 not reachable,
4 no authentication, 5 insufficient permission, 6 unclear which, 7 failed,
8 pushed but not confirmed, 70 a bug, 130 interrupted.
"""


_SHARED = (
    click.argument("references", nargs=-1, metavar="REF [REF...]"),
    click.option(
        "-a", "--all-tags", is_flag=True, help="Take every tag the engine has for each REF, a repository without a tag."
    ),
    options.allow,
    click.option(
        "-f",
        "--file",
        "files",
        multiple=True,
        metavar="FILE",
        help="Read references from FILE (- for stdin), one per line; # starts a comment.",
    ),
    options.format_(),
    click.option(
        "--from",
        "origins",
        multiple=True,
        metavar="KIND:PATH",
        help=f"Take an image from an archive, without an engine: {transport_list()}.",
    ),
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="OS/ARCH",
        help="Take only this platform of a multi-platform image (engines: Docker 27 or newer); with --from, a list "
        "A,B makes a new index of those platforms.",
    ),
)
"""Arguments and options of both commands."""


class _Given(NamedTuple):
    """The arguments and options that select the tags and their source."""

    references: tuple[str, ...]
    all_tags: bool
    files: tuple[str, ...]
    origins: tuple[str, ...]
    platforms: tuple[str, ...]


@options.command(
    *_SHARED,
    *(options.digest_file, options.dry_run, options.quiet, options.timings),
    *options.settings(),
    click.option("--push-each", is_flag=True, help="Have the engine push every tag, including tags already in place."),
    click.version_option(__version__, "--version", prog_name="docker pushsafe", message="%(prog)s %(version)s"),
    epilog=_EPILOG,
)
def push(session: Session, common: options.Common, /, push_each: bool, **given: Any) -> int:
    """Check, push and verify images.

    Refuses a push that would fail or do damage before any content is sent, pushes every listed tag, reads each one
    back from the registry, and says whether a denial means that you are not logged in or that the account lacks
    permission to write.
    """

    def request(settings: options.Settings) -> PushRequest:
        if push_each and given["origins"]:
            raise UsageError("--push-each is for an engine's images, and --from for those in files", "leave one out")
        return _request(common, settings, _Given(**given))._replace(push_each=push_each)

    return run_and_show(session, common, request)


@options.command(
    *_SHARED,
    *options.settings("timeout"),
    click.option("--offline", is_flag=True, help="Ask no registry: use only what this machine and its engine know."),
)
def lint(session: Session, common: options.Common, /, offline: bool, **given: Any) -> int:
    """Run all checks of a push, and push nothing.

    Registries are asked what a push would encounter (an upload is started and cancelled) and what each tag names now.
    """

    def request(settings: options.Settings) -> PushRequest:
        asked = _request(common, settings, _Given(**given), "docker pushsafe lint")
        return asked._replace(asks=Asks.NOTHING if offline else Asks.PREFLIGHT, pushes=False)

    return run_and_show(session, common, request)


def _request(
    common: options.Common, settings: options.Settings, given: _Given, command: str = "docker pushsafe"
) -> PushRequest:
    with in_time(settings.timeout, "references were read"):
        texts = [*given.references, *(line for file in given.files for line in params.lines(file))]
    if not texts:
        files = f", nor does {' or '.join(given.files)} hold one" if given.files else ""
        told = f"{command} --from {quote(given.origins[0])}" if given.origins else command
        written = f"{command} -a REGISTRY/NAMESPACE/NAME" if given.all_tags else f"{told} REGISTRY/NAMESPACE/NAME:TAG"
        raise UsageError(f"no reference is given{files}", f"{written}   (--help for options)")
    if len(given.origins) > 1:
        raise UsageError(f"--from is given more than once: {', '.join(given.origins)}", "one of them for each run")
    origin = params.archive(given.origins[0]) if given.origins else None
    if given.all_tags and origin is not None:
        raise UsageError(
            "--all-tags takes the tags of an engine, and --from an image that has none of them",
            f"{command} --from {quote(origin.given)} REF [REF...]",
        )
    for text in given.references:
        params.no_command(text)
    for text in texts:
        params.no_archive(text)
    read = [parse_repository(text) if given.all_tags else parse(text) for text in texts]
    return common.request(settings)._replace(
        references=params.readable(read),
        all_tags=given.all_tags,
        platforms=params.platforms(given.platforms),
        origin=origin,
    )
