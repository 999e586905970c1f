"""What engines and buildx say: push streams, answers, metadata files, targets of bake, builders."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pushsafe.engine import buildx_cli, payloads
from pushsafe.engine.push_stream import BrokenOff, Garbled, lines, read_push_stream
from pushsafe.model.errors import UsageError
from pushsafe.model.outcomes import EngineAccepted, EngineReduced, EngineRefused, LayerEvent
from pushsafe.model.request import Build, Target
from pushsafe.oci.platform import Platform
from pushsafe.oci.reference import Reference
from pushsafe.sources.buildx.flags import bake_targets
from tests.contract.fuzz.strategies import TELLING, TEXTS, assert_fit, near, quick, written

REFERENCE = Reference("given", "registry.test", "team/app", "1")
DIGEST = f"sha256:{'1' * 64}"
LINES = st.sampled_from(
    [
        {"status": "The push refers to repository [registry.test/team/app]"},
        {"status": "Pushing", "id": "5f70bf18a086", "progressDetail": {"current": 5, "total": 10}, "progress": "[=>]"},
        {"status": "Pushed", "id": "5f70bf18a086", "progressDetail": {}},
        {"status": "Mounted from team/other", "id": "5f70bf18a087"},
        {"status": f"1: digest: {DIGEST} size: 528"},
        {"aux": {"Tag": "1", "Digest": DIGEST, "Size": 528}},
        {"aux": {"manifestPushedInsteadOfIndex": True, "originalIndex": {"digest": DIGEST}, "selectedManifest": {}}},
        {"errorDetail": {"message": "denied"}, "error": "denied"},
    ]
)
STREAM = st.lists(st.one_of(written(LINES.flatmap(near)), st.binary(max_size=20)), max_size=8).map(b"\r\n".join)


@given(STREAM, st.integers(1, 50))
def test_push_streams(stream: bytes, piece: int) -> None:
    events: list[LayerEvent] = []
    with quick():
        try:
            parts = (stream[at : at + piece] for at in range(0, len(stream), piece))
            found = read_push_stream(REFERENCE, lines(parts), events.append)
        except (Garbled, BrokenOff) as error:
            assert_fit(str(error))
            return
    match found:
        case EngineRefused(evidence):
            assert evidence.message
            assert_fit(evidence.message)
        case EngineAccepted(digest):
            assert_fit(digest)
        case EngineReduced(original, left, platform):
            assert_fit(original, left, platform)
    assert_fit(*(event.layer for event in events))


ANSWER = {"message": "no such image", "Status": "x", "error": "y"}


@given(written(near(ANSWER)).map(lambda body: body.decode("utf-8", "replace")))
def test_engine_messages(body: str) -> None:
    with quick():
        payloads.message(body)
        payloads.is_message(body)
        payloads.refusal(body)


BUILDER = {
    "Name": "mine",
    "Driver": "docker-container",
    "Current": True,
    "Nodes": [{"Status": "running", "Platforms": ["linux/amd64", "linux/arm64*"], "Labels": {}, "Err": "x"}],
}


@given(st.lists(written(near(BUILDER)), max_size=3).map(b"\n".join))
def test_builders(listed: bytes) -> None:
    with quick():
        for builder in buildx_cli._builders(listed.decode("utf-8", "replace"), "mine"):
            assert_fit(builder.name, builder.driver, builder.problem, *map(str, builder.platforms))


TARGET = {
    "tags": ["registry.test/team/app:1"],
    "platforms": ["linux/amd64"],
    "output": [{"type": "image", "push": "true"}],
    "call": "build",
    "cache-to": [{"type": "registry", "ref": "registry.test/team/cache:1"}, "type=inline"],
}


@given(st.one_of(TEXTS, TELLING, st.just("default")), near(TARGET))
def test_targets_of_bake(name: str, entry: object) -> None:
    with quick():
        try:
            target = buildx_cli._bake_target(name, entry if isinstance(entry, dict) else {})
            _, bad = bake_targets([target], Platform("linux", "amd64"))
        except UsageError as error:
            assert_fit(error.message, error.hint, limit=6000)
            return
    for one in bad:
        assert_fit(*one.reasons, one.repair)


BUILT = {"containerimage.digest": DIGEST, "image.name": "registry.test/team/app:1"}
METADATA = {"default": BUILT, "buildx.build.ref": "x"}
BUILD = Build("bake", (), (Target((), name="default"),))


@given(written(near(METADATA)))
def test_metadata_files(content: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, quick():
        file = Path(folder, "metadata.json")
        file.write_bytes(content)
        found = buildx_cli._built(file, BUILD)
    assert_fit(*(digest for _, digest in found.digests))
    json.dumps(found)
