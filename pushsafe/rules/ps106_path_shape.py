"""PS106: a path that the registry does not accept."""

from __future__ import annotations

from pushsafe.known_registries import known
from pushsafe.model.facts import Facts
from pushsafe.model.verdicts import Severity
from pushsafe.oci.reference import Implied
from pushsafe.rules.rule import Needs, Problem, Rule, each, renamed


def check(facts: Facts) -> Problem | None:
    reference = facts.reference
    row = known(reference.registry)
    if Implied.REGISTRY in reference.implied and Implied.NAMESPACE in reference.implied:
        return None  # PS101's
    if Implied.NAMESPACE in reference.implied:
        name = reference.repository.partition("/")[2]
        return Problem(
            reference,
            f"{reference.given!r} has no namespace, so docker would push to {reference}: the official images, "
            "where only Docker may write",
            renamed(facts, f"{reference.registry}/NAMESPACE/{name}{reference.tag_suffix}"),
        )
    least, most = row.depth
    depth = reference.repository.count("/") + 1
    if depth < least or (most and depth > most):
        count = f"exactly {least}" if least == most else f"at least {least}" if depth < least else f"at most {most}"
        return Problem(
            reference,
            f"{row.name} takes {count} path components ({row.example}), and {reference.repository!r} has {depth}",
            renamed(facts, f"{reference.registry}/{_fitted(reference.repository, row.example)}{reference.tag_suffix}"),
        )
    return None


def _fitted(repository: str, example: str) -> str:
    """The example's path with the user's first and last component; the rest is a placeholder."""
    typed, shape = repository.split("/"), example.split("/")[1:]
    shape[-1] = typed[-1]
    if len(typed) > 1:
        shape[0] = typed[0]
    return "/".join(shape)


RULE = Rule(
    code="PS106",
    slug="path-shape",
    severity=Severity.ERROR,
    needs=Needs.TEXT,
    step="reference",
    summary="the registry does not accept a repository with that path",
    explanation=(
        "Registries differ in the paths they accept: Docker Hub exactly namespace/name, Artifact Registry at least "
        "project/repository/image, GHCR an owner and an image. Other paths are refused with `denied`, `name invalid` "
        "or `not found`, often after the layers were uploaded."
    ),
    example="docker pushsafe docker.io/myorg/team/my-api:1.4.2",
    fix="Tag the image with a path of the form shown in the finding.",
    check=each(check),
)
