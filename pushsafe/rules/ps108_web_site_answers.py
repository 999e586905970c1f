"""PS108: a web site answers under the registry's name, or something else that is no registry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pushsafe.known_registries import reach_command
from pushsafe.model.evidence import TagUnknown
from pushsafe.model.facts import Facts
from pushsafe.model.verdicts import Severity
from pushsafe.rules.rule import Needs, Problem, Rule, accepted_upload, first_per_registry


def check(facts: Sequence[Facts]) -> Iterator[Problem]:
    for fact in first_per_registry(one for one in facts if _seen(one)):
        registry = fact.reference.registry
        said = f"{registry} {_seen(fact)}: a web site, a sign-in page or a proxy does that, not a registry"
        yield Problem(
            fact.reference, said, f"{reach_command(registry)}   (a registry answers 200 or 401, without a page)"
        )


def _seen(fact: Facts) -> str:
    """The sign that no registry answers; empty if there is none."""
    if isinstance(fact.tag_now, TagUnknown) and fact.tag_now.odd:
        return f"sends {fact.tag_now.odd}"
    if fact.ping is not None and fact.ping.page and not accepted_upload(fact):
        return f"answers /v2/ with {fact.ping.page}"
    return ""


RULE = Rule(
    code="PS108",
    slug="web-site-answers",
    severity=Severity.ERROR,
    needs=Needs.FACTS,
    step="registry",
    summary="a web site answers under the registry's name",
    explanation=(
        "Many registries do not share the name of their web site: a GitLab registry is often at `registry.` plus the "
        "site's name, or at the site's name with a port. A web site answers every address with a page, which the "
        "engine reports as `invalid character '<'`, an unknown status or a failed login. A sign-in page or a captive "
        "portal in front of the registry looks the same."
    ),
    example="docker pushsafe gitlab.example.com/group/app:1.4.2   (registry.gitlab.example.com is the registry)",
    fix="Tag the image for the registry's own name; behind a sign-in page or a portal, sign in there first.",
    check=check,
)
