"""What a run claims, held against what the registry holds: the eight figures that have to be nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from tests.faults.front import Put, Sighting

SCHEMA = Path(__file__).parents[2] / "docs" / "report.schema.json"
_BUG = 70


class Figure(Enum):
    """What has to be nothing."""

    FALSE_SUCCESS = "false successes"
    BROKEN = "tracebacks, or no report"
    ENDLESS = "runs without end"
    CREDENTIAL = "credentials elsewhere"
    EARLY = "moving tags too early"
    INCOMPLETE = "tags that name missing content"
    UPLOAD = "uploads left that could be cancelled"
    UNDERSOLD = "undersold"


@dataclass(frozen=True)
class Offence:
    figure: Figure
    what: str

    def __str__(self) -> str:
        return f"{self.figure.value}: {self.what}"


@dataclass(frozen=True)
class Held:
    """A registry after the run: what each tag names, the image that this is (its config's digest), what it lacks."""

    tags: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    lacks: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Observed:
    """A run and what came of it; `status` is None for one that had to be ended.

    `tags` are those that were listed, `moving` one of them. `image` is the digest of the config of what was to be
    pushed. `left` are uploads of the program that are open still, though it knew where, that it was not told are
    blobs now, and that it never asked to cancel.
    """

    status: int | None
    stdout: str
    stderr: str
    tags: Sequence[str]
    image: str
    held: Held
    moving: str = "latest"
    puts: Sequence[Put] = ()
    sightings: Sequence[Sighting] = ()
    left: Sequence[str] = ()
    seconds: float = 0.0
    met: int = 0

    def has(self, tag: str) -> bool:
        """Whether the registry holds the image under this tag, whole."""
        return self.held.images.get(tag) == self.image and not self.held.lacks.get(tag)


def judge(seen: Observed) -> tuple[Offence, ...]:
    """All that is wrong."""
    report, wrong = _report(seen)
    return (*wrong, *of_storage(seen), *(_of_report(seen, report) if report is not None else ()))


def engine_leaks(seen: Observed) -> tuple[Sighting, ...]:
    """The engine's own: Go's client keeps `Authorization` on the same host name, whatever the port."""
    return tuple(one for one in seen.sightings if one.credential and not one.ours)


@cache
def _schema() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def _report(seen: Observed) -> tuple[dict[str, Any] | None, tuple[Offence, ...]]:
    if seen.status is None:
        return None, (Offence(Figure.ENDLESS, f"ended by force after {seen.seconds:.0f} s"),)
    if seen.status == _BUG or seen.status < 0 or "Traceback" in seen.stderr + seen.stdout:
        return None, (Offence(Figure.BROKEN, f"status {seen.status}: {seen.stderr[-300:]}"),)
    try:
        report = json.loads(seen.stdout)
    except ValueError:
        return None, (Offence(Figure.BROKEN, f"status {seen.status}, no JSON: {seen.stdout[:100]!r}"),)
    if errors := [error.message for error in _schema().iter_errors(report)]:
        return None, (Offence(Figure.BROKEN, f"not by the schema: {errors[0][:200]}"),)
    if report["exit_code"] != seen.status:
        return report, (Offence(Figure.BROKEN, f"status {seen.status}, and {report['exit_code']} in the report"),)
    return report, ()


def of_storage(seen: Observed) -> Iterator[Offence]:
    """What is wrong whatever the run says, or where it says nothing."""
    for one in seen.sightings:
        if one.ours and one.credential:
            yield Offence(Figure.CREDENTIAL, f"at another {one.where}: {one.request}")
    for put in seen.puts:
        late = [tag for tag in seen.tags if tag != seen.moving and tag not in put.tags]
        if put.tag == seen.moving and late:
            yield Offence(Figure.EARLY, f"{put.tag} was put before {', '.join(late)}")
    for tag, missing in seen.held.lacks.items():
        if missing:
            yield Offence(Figure.INCOMPLETE, f"{tag}: {missing[0]}")
    for upload in seen.left:
        yield Offence(Figure.UPLOAD, upload)


def _of_report(seen: Observed, report: dict[str, Any]) -> Iterator[Offence]:
    results = {result["reference"].rpartition(":")[2]: result for result in report["results"]}
    if len(report["results"]) != len(seen.tags) or set(results) != set(seen.tags):
        yield Offence(Figure.BROKEN, f"results of {sorted(results)}, where {sorted(seen.tags)} were listed")
        return
    for tag in seen.tags:
        yield from _of_tag(seen, tag, results[tag])
    if seen.status == 0:
        for tag in seen.tags:
            if not _confirmed(results[tag]) or not seen.has(tag):
                yield Offence(Figure.FALSE_SUCCESS, f"exit code 0, and {tag} is {_state(seen, tag)}")
    others = [tag for tag in seen.tags if tag != seen.moving and not _confirmed(results[tag])]
    if seen.moving in seen.tags and seen.has(seen.moving) and others:
        yield Offence(Figure.EARLY, f"{seen.moving} is in place, and {', '.join(others)} not confirmed")


def _of_tag(seen: Observed, tag: str, result: Mapping[str, Any]) -> Iterator[Offence]:
    if _confirmed(result) and not (seen.has(tag) and seen.held.tags[tag] == result["digest"]):
        yield Offence(Figure.FALSE_SUCCESS, f"{tag} is said to name {result['digest']}, and is {_state(seen, tag)}")
    if result["outcome"] not in _THERE and seen.has(tag) and not says_that_it_may(result):
        yield Offence(Figure.UNDERSOLD, f"{tag}, {result['outcome']}: {_words(result)[:200]}")


_THERE = ("pushed", "tagged", "already-there")


def _confirmed(result: Mapping[str, Any]) -> bool:
    return result["outcome"] in _THERE and result["verification"] == "verified"


def _state(seen: Observed, tag: str) -> str:
    if missing := seen.held.lacks.get(tag):
        return f"incomplete ({missing[0]})"
    return seen.held.tags.get(tag, "not there")


def _words(result: Mapping[str, Any]) -> str:
    failure, denial = result["failure"] or {}, result["denial"] or {}
    return " ".join(
        filter(None, (result["why"], failure.get("message"), denial.get("summary"), result["verification_detail"]))
    )


_MAY = re.compile(
    r"\bmay (?:hold|have|name|or may not)|\bnames? (?:it|the new image|what was pushed|sha256:[0-9a-f]{64} now)"
)


def says_that_it_may(result: Mapping[str, Any]) -> bool:
    """Whether a result that is no success says that the registry may hold the tag all the same."""
    return result["verification"] == "verified" or bool(_MAY.search(_words(result)))
