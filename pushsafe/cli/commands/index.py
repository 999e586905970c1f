"""`docker pushsafe index -t REF SRC...`: assembles an index of single-platform images, and pushes it."""

from __future__ import annotations

import click

from pushsafe.cli import options, params
from pushsafe.cli.session import Session, run_and_show
from pushsafe.model.errors import UsageError
from pushsafe.model.request import Assembly, PushRequest, Source
from pushsafe.oci.reference import Reference, parse

_EPILOG = """\b
Examples:
  docker pushsafe index -t ghcr.io/myorg/my-api:1.4.2 my-api:amd64 my-api:arm64
  docker pushsafe index -t ghcr.io/myorg/my-api:1.4.2 -t ghcr.io/myorg/my-api:latest \\
    ghcr.io/myorg/my-api:1.4.2-amd64 ghcr.io/myorg/my-api:1.4.2-arm64
  docker pushsafe index -t ghcr.io/myorg/my-api:1.4.2 docker-daemon:my-api:amd64 \\
    docker://ci.example.com/my-api@sha256:...
"""
_USAGE = "docker pushsafe index -t REGISTRY/NAMESPACE/NAME:TAG SRC SRC...   (--help for options)"


@options.command(
    click.argument("sources", nargs=-1, metavar="SRC [SRC...]"),
    click.option("-t", "--tag", "tags", multiple=True, metavar="REF", help="A tag for the index; repeatable."),
    *(options.allow, options.digest_file, options.dry_run, options.format_(), options.quiet, options.timings),
    *options.settings(),
    epilog=_EPILOG,
)
def index(session: Session, common: options.Common, /, sources: tuple[str, ...], tags: tuple[str, ...]) -> int:
    """Assemble a multi-platform index from single-platform images, and push it.

    SRC is an image of this engine or of a registry: REF or NAME@DIGEST. If the name exists in both, docker-daemon:REF
    or docker://REF selects one. Missing content is pushed, mounted or copied into the repository; the index is put
    under every --tag, and each tag is read back and checked for its platforms. Attestations are kept.
    """

    def request(settings: options.Settings) -> PushRequest:
        asked = common.request(settings)
        return asked._replace(references=_targets(tags), origin=Assembly(_sources(sources)))

    return run_and_show(session, common, request)


def _targets(texts: tuple[str, ...]) -> tuple[Reference, ...]:
    if not texts:
        raise UsageError("no tag is given for the index", _USAGE)
    return params.readable(map(parse, texts))


def _sources(texts: tuple[str, ...]) -> tuple[Source, ...]:
    if not texts:
        raise UsageError("no image is given to put into the index", _USAGE)
    return params.readable(map(params.source, texts), "put into an index")
