"""`docker pushsafe buildx BUILD-ARGS...`: a build by docker buildx, checked and verified like a push."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from pushsafe.cli import options, params
from pushsafe.cli.session import Session, run_and_show
from pushsafe.model.errors import UsageError
from pushsafe.model.request import Build, PushRequest, Target
from pushsafe.oci.platform import Platform, read
from pushsafe.oci.reference import BadReference
from pushsafe.runtime.redact import clean
from pushsafe.sources.buildx.flags import (
    BuildArguments,
    UnknownFlag,
    bake_targets,
    build_target,
    cache_references,
    frozen,
    read_arguments,
)

if TYPE_CHECKING:
    from pushsafe.push.ports import Gateways


_EPILOG = """\b
Examples:
  docker pushsafe buildx -t ghcr.io/myorg/my-api:1.4.2 --platform linux/amd64,linux/arm64 .
  docker pushsafe buildx --digest-file digests.txt -- -t ghcr.io/myorg/my-api:1.4.2 .
  docker pushsafe buildx bake release

The options above go before --; without a -- all arguments are those of docker buildx.
"""
_OWN = "docker pushsafe buildx"


class _Guarded(click.Command):
    """A command whose options precede `--`; all other words are buildx's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own, theirs = _parted(args)
        try:
            return super().parse_args(ctx, [*own, "--", *theirs])
        except click.NoSuchOption as error:
            said = f"{clean(error.option_name)} is no option of {_OWN}; those of docker buildx stand after --"
            raise UsageError(said, f"{_OWN} --help") from error


def _parted(args: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Our words and buildx's, split at the first `--`; without one, all are buildx's."""
    if "--" in args:
        at = args.index("--")
        return args[:at], args[at + 1 :]
    if args[-1:] in (["-h"], ["--help"]):
        return args[-1:], ()
    return (), args


@options.command(
    click.argument("words", nargs=-1, metavar="[build|bake] BUILD-ARGS...", type=click.UNPROCESSED),
    click.option("--dry-run", is_flag=True, help="Check everything, and build nothing."),
    *(options.allow, options.digest_file, options.format_(), options.quiet, options.timings),
    *options.settings("preflight", "timeout"),
    cls=_Guarded,
    epilog=_EPILOG,
    options_metavar="[[OPTIONS] --]",
)
def buildx(session: Session, common: options.Common, /, words: tuple[str, ...]) -> int:
    """Build with docker buildx, push, and verify.

    Takes the arguments of docker buildx build or bake. Tags and platforms are linted and registries asked as for any
    push; no build starts if its push would be refused. The build then runs with --push, and every tag is read back: it
    must name the digest that was built, with every requested platform.
    """

    def request(settings: options.Settings) -> PushRequest | Callable[[Gateways], PushRequest]:
        asked = common.request(settings)._replace(planned=False)
        return _request(_read(words), session.environ, common.quiet, asked)

    return run_and_show(session, common, request, live=False)


def _read(words: Sequence[str]) -> BuildArguments:
    ours = frozenset(name for option in buildx.params for name in (*option.opts, *option.secondary_opts))
    try:
        return read_arguments(words, ours)
    except UnknownFlag as error:
        if error.name in ours:
            said = f"{error.name} is an option of docker pushsafe, and stands before --"
            raise UsageError(said, f"{_OWN} {error.name} -- ...") from error
        raise


def _request(
    found: BuildArguments, environ: Mapping[str, str], quiet: bool, common: PushRequest
) -> PushRequest | Callable[[Gateways], PushRequest]:
    """The request of a build, or a function that first asks for bake's definition."""
    here, builder = _here(), found.builder or environ.get("BUILDX_BUILDER", "")
    build = Build(found.command, found.words, (), builder, found.metadata_file, quiet=quiet)
    if found.command == "build":
        # Unlike build, bake does not heed DOCKER_DEFAULT_PLATFORM (docker/buildx `commands/build.go`).
        target, bad = build_target(found, environ.get("DOCKER_DEFAULT_PLATFORM", ""), here)
        return _complete(common, build, (target,), bad, found.caches)

    def asked(outside: Gateways) -> PushRequest:
        definition = _definition() if found.reads_definition else None
        shown = outside.buildx().targets(found.flags, found.rest, definition)
        targets, bad = bake_targets(shown, here)
        baking = build._replace(arguments=frozen(found, targets), definition=definition)
        return _complete(common, baking, targets, bad, [cache for target in shown for cache in target.caches])

    return asked


def _complete(
    common: PushRequest, build: Build, targets: tuple[Target, ...], bad: tuple[BadReference, ...], caches: Sequence[str]
) -> PushRequest:
    if bad:
        raise params.BadReferences(bad)
    references = tuple(reference for target in targets for reference in target.references)
    build = build._replace(targets=targets, caches=cache_references(caches, references))
    return common._replace(references=references, origin=build)


def _definition() -> bytes:
    """bake's standard input, read here as bake runs twice."""
    if sys.stdin is None:
        raise UsageError("cannot read standard input: it is closed", "-f FILE, or -f - < FILE")
    return sys.stdin.buffer.read()


def _here() -> Platform:
    """The platform of docker and buildx, as far as the kernel's names show it."""
    system, machine = os.uname().sysname.lower(), os.uname().machine
    names = {"i686": "386", "armv6l": "arm/v6", "armv7l": "arm/v7", "x86_64": "amd64", "aarch64": "arm64"}
    return read(f"{system}/{names.get(machine, machine)}") or Platform(system, machine)
