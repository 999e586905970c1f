"""`docker pushsafe try`: a tour of real pushes."""

from __future__ import annotations

import click

from pushsafe.cli.session import Session
from pushsafe.runtime import streams


@click.command("try", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.pass_obj
def try_(session: Session) -> int:
    """See it work: six real runs against a temporary registry, in a few seconds.

    The runs refuse a bare name and an implied Docker Hub, tell a missing login from a missing permission, push three
    tags, and push them again. The registry listens on 127.0.0.1 only; the image goes into your engine if that
    reaches the registry, else into a folder. Your logins and settings are not used, and nothing is left behind.
    """
    streams.show(
        "Six runs of docker pushsafe, each explained: real ones, against a temporary registry.\n"
        "They take a few seconds, use none of your logins and settings, and leave nothing behind.\n\n"
    )
    # Imported after the first output, which should not wait for it.
    from pushsafe.demo.tour import tour

    return tour(session.flags, session.environ)
