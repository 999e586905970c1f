"""The table of settings, and the options that commands share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, NamedTuple

import click

from pushsafe.cli import params
from pushsafe.cli.values import (
    ADDS,
    COUNT,
    FLAG,
    PATTERNS,
    REPLACES,
    SHORTENS,
    SWITCHES_ON,
    TIME,
    TIME_OR_NONE,
    Kind,
    Reach,
)
from pushsafe.model.errors import UsageError
from pushsafe.model.request import VERIFY_TIMEOUT, Asks, PushRequest, TagPolicy
from pushsafe.model.retry_policy import BUSY
from pushsafe.report import DEFAULT_FORMAT, FORMATS


class Settings(NamedTuple):
    """The settings of a run. `timeout` is in seconds, for the whole run, `verify_timeout` for each pushed tag.

    `retries` are those of each request. `preflight_off` is the option, variable or file that switched the preflight
    off, or empty. `warnings` are sentences on ignored values in files. `signed`: docker is asked to sign its pushes.
    """

    preflight: bool = True
    timeout: float | None = None
    retries: int = 3
    verify_timeout: float = VERIFY_TIMEOUT
    moving_tags: tuple[str, ...] = TagPolicy().moving
    immutable_tags: tuple[str, ...] = TagPolicy().immutable
    preflight_off: str = ""
    warnings: tuple[str, ...] = ()
    signed: bool = False

    @property
    def request(self) -> PushRequest:
        """A request with these settings, without references."""
        return PushRequest(
            (),
            policy=TagPolicy(self.moving_tags, self.immutable_tags, self.signed),
            asks=Asks.PREFLIGHT if self.preflight else Asks.LOGIN,
            retries=self.retries,
            verify_timeout=self.verify_timeout,
        )


Option = Callable[[Callable[..., Any]], Callable[..., Any]]


class Setting(NamedTuple):
    """A setting: its name in files (its variable's derives from it), meaning, and option, if any.

    `example` is a value in a file; `project` is what a project's file may do to the setting.
    """

    name: str
    kind: Kind
    meaning: str
    example: object
    project: Reach = REPLACES
    option: Option | None = None

    @property
    def default(self) -> object:
        return Settings._field_defaults[self.name.replace("-", "_")]


SETTINGS = (
    Setting(
        "preflight",
        FLAG,
        "ask the registries before the push what it would encounter",
        example=True,
        project=SWITCHES_ON,
        option=click.option(
            "--preflight/--no-preflight",
            default=None,
            help="Ask each registry first what the push would encounter (default: yes).",
        ),
    ),
    Setting(
        "timeout",
        TIME,
        "how long the whole run may take",
        example="5m",
        project=SHORTENS,
        option=click.option(
            "--timeout", metavar="TIME", help="Limit the whole run to TIME: seconds, or a text such as 90s, 5m, 1h30m."
        ),
    ),
    Setting(
        "retries",
        COUNT,
        f"how often to retry when a registry is busy ({', '.join(map(str, BUSY))}) or drops the connection; an engine "
        "push at most once; 0 for never",
        example=5,
        option=click.option(
            "--retries",
            metavar="N",
            help="Retry each request up to N times when a registry is busy or drops the connection (default: 3; an "
            "engine push at most once).",
        ),
    ),
    Setting(
        "verify-timeout",
        TIME_OR_NONE,
        "how long to wait for a pushed tag to show its new digest",
        example="30s",
        option=click.option(
            "--verify-timeout",
            metavar="TIME",
            help="Wait up to TIME for each pushed tag to show its new digest (default: 15s; 0: check once).",
        ),
    ),
    Setting("moving-tags", PATTERNS, "tags that are meant to change", example=["latest", "stable"], project=ADDS),
    Setting("immutable-tags", PATTERNS, "tags that must never change", example=["v*"], project=ADDS),
)


def settings(*names: str) -> tuple[Option, ...]:
    """The options of the named settings, or of all."""
    return tuple(one.option for one in SETTINGS if one.option and (one.name in names or not names))


allow = click.option("--allow", multiple=True, metavar="CODE", help="Suppress one rule for this run; repeatable.")
digest_file = click.option(
    "--digest-file", metavar="FILE", help="Write REF@DIGEST of every verified tag to FILE, one per line."
)
dry_run = click.option("--dry-run", is_flag=True, help="Check everything, show the plan, and push nothing.")
quiet = click.option("-q", "--quiet", is_flag=True, help="Print only the verified references.")
timings = click.option("--timings", is_flag=True, help="Show the duration of each phase (--format json always does).")


def format_(help_text: str = f"Output format (default: {DEFAULT_FORMAT}).") -> Option:
    return click.option("--format", "format_", type=click.Choice(list(FORMATS)), default=DEFAULT_FORMAT, help=help_text)


class Common(NamedTuple):
    """The values of shared options; `settings` by name, None for an option that is not given."""

    settings: Mapping[str, object]
    allow: tuple[str, ...] = ()
    digest_file: str | None = None
    dry_run: bool = False
    format_: str = DEFAULT_FORMAT
    quiet: bool = False
    timings: bool = False

    def require_sense(self) -> None:
        """Raise UsageError for options that contradict each other."""
        if self.dry_run and self.quiet:
            why = "--dry-run and --quiet: the one shows a plan, the other only what was pushed"
            raise UsageError(why, "leave one out")
        if self.dry_run and self.digest_file is not None:
            why = "--dry-run pushes nothing, so there is no digest to write to --digest-file"
            raise UsageError(why, "leave one out")

    def request(self, found: Settings) -> PushRequest:
        """A request with these options and settings, without references. Raises UsageError."""
        allowed = frozenset(params.code(text) for text in self.allow)
        return found.request._replace(allowed=allowed, pushes=not self.dry_run, planned=self.dry_run)


def command(
    *options: Option, cls: type[click.Command] = click.Command, **attributes: Any
) -> Callable[[Callable[..., int]], click.Command]:
    """Make a command of a function that takes the session, the shared options as one value, and its own options.

    Its help sorts them by name.
    """

    def made(function: Callable[..., int]) -> click.Command:
        @click.pass_obj
        @wraps(function)
        def run(session: object, /, **given: Any) -> int:
            said = {one.name: given.pop(name) for one in SETTINGS if (name := one.name.replace("-", "_")) in given}
            shared = {name: given.pop(name) for name in Common._fields if name in given}
            return function(session, Common(said, **shared), **given)

        takes: Callable[..., Any] = run
        for add in options:
            takes = add(takes)
        width = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
        found = click.command(None, cls, context_settings=width, **attributes)(takes)
        found.params.sort(key=lambda one: max(one.opts, key=len).lstrip("-"))
        return found

    return made
