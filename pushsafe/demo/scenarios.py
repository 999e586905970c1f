"""The tour's runs, with their expected results and the reasons."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from pushsafe.report.exit_codes import ExitCode

EVERY_TAG = ("{host}/myorg/my-api:1.4.2", "{host}/myorg/my-api:1.4", "{host}/myorg/my-api:latest")
_REFUSAL = "UNAUTHORIZED; authentication required"


class Login(Enum):
    """The login that a run uses; the value is the account's name."""

    NOBODY = ""
    READER = "reader"
    WRITER = "writer"


class Run(NamedTuple):
    """One run of `docker pushsafe`.

    `{host}` in texts and references stands for the registry. `before` is what changed since the last run, `why` what to
    watch for. The run must end with `status` and print all of `says`, or the tour reports that it failed.
    """

    title: str
    before: str
    references: tuple[str, ...]
    login: Login
    status: ExitCode
    says: tuple[str, ...]
    why: str


RUNS = (
    Run(
        "A bare name",
        "",
        ("my-api:1.4.2",),
        Login.NOBODY,
        ExitCode.LINT,
        ("PS101", "nothing was pushed"),
        "To docker this name means Docker Hub, and there the official images, where only Docker may write. The name "
        "alone shows it, so it is refused before an engine or a registry is asked.",
    ),
    Run(
        "A namespace, but no registry",
        "",
        ("myorg/my-api:1.4.2",),
        Login.NOBODY,
        ExitCode.LINT,
        ("PS102", "nothing was pushed"),
        "Docker Hub again, though nothing says so: an image meant for your company's registry would go there. If "
        "you mean Docker Hub, write docker.io/ in front.",
    ),
    Run(
        "The full name, but not logged in",
        "From here on the name says which registry is meant: {host}.",
        EVERY_TAG[:1],
        Login.NOBODY,
        ExitCode.NO_AUTHENTICATION,
        ("no-authentication", _REFUSAL, "nothing was pushed"),
        'The registry was asked before anything was sent; the evidence shows what it answered. 4 means "not '
        'logged in", and the command after `next:` fixes it.',
    ),
    Run(
        "An account that may only read",
        "Now as after: docker login -u reader {host}",
        EVERY_TAG[:1],
        Login.READER,
        ExitCode.INSUFFICIENT_PERMISSION,
        ("insufficient-permission", "grants pull\n", _REFUSAL, "nothing was pushed"),
        "The push probe got exactly the same message as before. The rest of the evidence differs: this login "
        "was accepted, and its token grants no push. 5 means that the account lacks a right; logging in again with it "
        "does not help.",
    ),
    Run(
        "Three tags",
        "Now as after: docker login -u writer {host}",
        EVERY_TAG,
        Login.WRITER,
        ExitCode.OK,
        ("3 of 3 in place and verified", "1 pushed, 2 tagged"),
        "The content went once, and the other tags got only the manifest, latest last. Then each tag was read back "
        "from the registry and its digest compared. 0 means that all of them name exactly this image.",
    ),
    Run(
        "The same again",
        "Nothing has changed.",
        EVERY_TAG,
        Login.WRITER,
        ExitCode.OK,
        ("3 of 3 in place and verified", "3 already there"),
        "Every tag names this image already, so nothing was sent; each was read back all the same. A CI job that was "
        "cut off can simply be run again.",
    ),
)
