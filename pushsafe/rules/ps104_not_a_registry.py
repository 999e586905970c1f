"""PS104: the host is a web site, not a registry."""

from __future__ import annotations

from pushsafe.known_registries import WEB_SITES
from pushsafe.model.facts import Facts
from pushsafe.model.verdicts import Severity
from pushsafe.oci.reference import DEFAULT_REGISTRY, hostname
from pushsafe.rules.rule import Needs, Problem, Rule, each, renamed


def check(facts: Facts) -> Problem | None:
    reference = facts.reference
    site = WEB_SITES.get(hostname(reference.registry).lower())
    if site is None:
        return None
    said = f"{reference.registry} is a web site, not a registry"
    if not site.registry:
        return Problem(reference, f"{said}; {site.note}")
    # Docker Hub's web pages live below /r/ and /repository/docker/, which people copy along
    path = reference.repository
    if site.registry == DEFAULT_REGISTRY:
        for page in ("repository/docker/", "r/", "u/"):
            path = path.removeprefix(page)
    return Problem(
        reference,
        f"{said}; its registry is {site.registry}",
        renamed(facts, f"{site.registry}/{path}{reference.tag_suffix}"),
    )


RULE = Rule(
    code="PS104",
    slug="not-a-registry",
    severity=Severity.ERROR,
    needs=Needs.TEXT,
    step="reference",
    summary="the host is a web site, not a registry",
    explanation=(
        "The address in a browser is often not the registry's: hub.docker.com, github.com and gitlab.com serve web "
        "pages, while images go to docker.io, ghcr.io and registry.gitlab.com. The engine reports the HTML page or "
        "the 404 as an unknown error."
    ),
    example="docker pushsafe hub.docker.com/myorg/my-api:1.4.2",
    fix="Tag the image for the registry in the finding, and push that.",
    check=each(check),
)
