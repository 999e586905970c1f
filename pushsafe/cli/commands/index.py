"""`docker pushsafe index -t REF SRC...`: one index put together from images of one platform each, and pushed."""

from __future__ import annotations

import click

from pushsafe.cli import options, params
from pushsafe.cli.session import Session, run
from pushsafe.cli.settings import whole_number
from pushsafe.model.errors import PushsafeError, UsageError
from pushsafe.model.request import Asks, Assembly, PushRequest, Source
from pushsafe.oci.reference import Reference, parse
from pushsafe.report.output import Output, show

_EPILOG = """\b
Examples:
  docker pushsafe index -t ghcr.io/myorg/my-api:1.4.2 my-api:amd64 my-api:arm64
  docker pushsafe index -t ghcr.io/myorg/my-api:1.4.2 -t ghcr.io/myorg/my-api:latest \\
    ghcr.io/myorg/my-api:1.4.2-amd64 ghcr.io/myorg/my-api:1.4.2-arm64
  docker pushsafe index -t ghcr.io/myorg/my-api:1.4.2 docker-daemon:my-api:amd64 \\
    docker://ci.example.com/my-api@sha256:...
"""
_USAGE = "docker pushsafe index -t REGISTRY/NAMESPACE/NAME:TAG SRC SRC...   (--help for options)"


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EPILOG,
)
@click.argument("sources", nargs=-1, metavar="SRC [SRC...]")
@options.allow
@options.digest_file
@options.dry_run
@options.format_
@options.preflight
@options.quiet
@options.retries
@click.option("-t", "--tag", "tags", multiple=True, metavar="REF", help="The tag that the index gets; repeatable.")
@options.timeout
@options.timings
@options.verify_timeout
@click.pass_obj
def index(
    session: Session,
    /,
    sources: tuple[str, ...],
    allow: tuple[str, ...],
    digest_file: str | None,
    dry_run: bool,
    format_: str,
    preflight: bool | None,
    quiet: bool,
    retries: str | None,
    tags: tuple[str, ...],
    timeout: str | None,
    timings: bool,
    verify_timeout: str | None,
) -> int:
    """Put one index together from images of one platform each, and push it.

    A SRC is an image of this engine, or one that a registry holds: REF or NAME@DIGEST. Where both have one of the name,
    docker-daemon:REF and docker://REF say which is meant. What is missing in the repository is pushed, mounted or
    copied; the index gets every tag; and each is read back with its platforms. Attestations are kept.
    """
    output = Output(format_, quiet, timings=timings)
    try:
        options.require_sense(dry_run=dry_run, quiet=quiet, digest_file=digest_file)
        again = None if retries is None else whole_number(retries)
        settings = session.settings(preflight=preflight, timeout=timeout, retries=again, verify_timeout=verify_timeout)
        request = PushRequest(
            _targets(tags),
            frozenset(params.code(text) for text in allow),
            policy=settings.policy,
            asks=Asks.PREFLIGHT if settings.preflight else Asks.LOGIN,
            pushes=not dry_run,
            planned=dry_run,
            retries=settings.retries,
            verify_timeout=settings.verify_timeout,
            origin=Assembly(_sources(sources)),
        )
        output = options.with_digest_file(output, digest_file)
    except PushsafeError as error:
        return show(options.unusable(error), output)
    return show(run(session, request, output, settings.timeout)._replace(preflight_off=settings.preflight_off), output)


def _targets(texts: tuple[str, ...]) -> tuple[Reference, ...]:
    if not texts:
        raise UsageError("no tag is given for the index", _USAGE)
    return params.readable(map(parse, texts))


def _sources(texts: tuple[str, ...]) -> tuple[Source, ...]:
    if not texts:
        raise UsageError("no image is given to put into the index", _USAGE)
    return params.readable(map(params.source, texts), "put into an index")
