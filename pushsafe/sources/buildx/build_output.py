"""Reads the output of a failed build: the refused pushes, those that came before, and the error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pushsafe.oci.reference import Reference, parse

# Plain progress, moby/buildkit `util/progress/progressui/printer.go`: `#5 NAME` as a step begins, `#5 0.123 TEXT` for
# the output of its program, which is not to be trusted, `#5 ERROR: TEXT` as it fails.
_PROGRESS = re.compile(r"#\d+ ")
_STEP = re.compile(r"#(\d+) (?:ERROR: (.+)|(.+))")
# Where an error comes from: a step may end because another target failed.
_WHERE = r"(?:failed to build: |target \S+: |failed to solve: )*"
# moby/buildkit `exporter/containerimage/export.go`, `util/push/push.go`.
_REFUSED = re.compile(rf"{_WHERE}failed to push (\S+): (.+)")
_MANIFEST = re.compile(r"pushing manifest for (\S+)@(sha256:[0-9a-f]{64})( .*\bdone)?\Z")
# docker/buildx `build/build.go`: the engine pushes from the classic store. bake names the target.
_BY_ENGINE = re.compile(r"(?:\[[^\]]+\] )?pushing (\S+) with docker\Z")
_OF_OTHERS = re.compile(r"target \S+: |context canceled\b")
_ERROR = re.compile(r"ERROR: (.+)")
_KIND = re.compile(r"(?:failed to build: )?(?:failed to solve: )?")


class Told(NamedTuple):
    """The output of buildx, by fully written tags.

    `refused`: the message of each failed push. `pushed`: pushes that began, with their digests, which are empty for
    unknown or unfinished ones. `digests`: those of all pushes that began. `error`: the last error, or else the first
    line. `progress`: whether progress was shown.
    """

    refused: Mapping[str, str]
    pushed: Mapping[str, str]
    error: str = ""
    progress: bool = False
    digests: Mapping[str, str] = MappingProxyType({})


def read_text(said: str) -> Told:
    """Read plain progress and the messages after it."""
    refused: dict[str, str] = {}
    pushed: dict[str, str] = {}
    digests: dict[str, str] = {}
    steps: dict[str, str] = {}
    lines = said.splitlines()
    for number, words, other in (found.groups() for line in lines if (found := _STEP.match(line))):
        if words and (found := _REFUSED.match(words)):
            refused[_name(found[1])] = found[2]
        elif words and number in steps and not _OF_OTHERS.match(words):
            refused[steps[number]] = words
        elif other and (found := _MANIFEST.match(other)):
            digests[_name(found[1])] = found[2]
            pushed[_name(found[1])] = found[2] if found[3] else ""
        elif other and (found := _BY_ENGINE.match(other)):
            steps[number] = _name(found[1])
            pushed[steps[number]] = ""
    plain = [line for line in lines if line and not _PROGRESS.match(line)]
    errors = [found[1] for line in plain if (found := _ERROR.match(line))]
    if errors and (found := _REFUSED.match(errors[-1])):
        refused[_name(found[1])] = found[2]
    error = _KIND.sub("", errors[-1], count=1) if errors else next(iter(plain), "")
    return Told(refused, pushed, error, any(map(_PROGRESS.match, lines)), digests)


def _name(text: str) -> str:
    found = parse(text)
    return str(found) if isinstance(found, Reference) else text
