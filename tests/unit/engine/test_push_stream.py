"""The engine's push stream, as both image stores really write it, and as a hostile one may."""

from __future__ import annotations

import json
from typing import Any

from pushsafe.engine import push_stream
from pushsafe.engine.push_stream import read_push_stream
from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.outcomes import (
    EngineAccepted,
    EngineAnswer,
    EngineReduced,
    EngineRefused,
    LayerEvent,
    Layers,
    LayerState,
)
from tests.values import ref, sha

Line = dict[str, Any]
REF = ref("registry.test/team/app:1.4.2")
UNREPORTED = Layers(reported=False)
A, B, C = "a" * 12, "b" * 12, "c" * 12

HEAD: Line = {"status": "The push refers to repository [registry.test/team/app]"}
TEXT: Line = {"status": f"1.4.2: digest: {sha('d')} size: 1234"}
AUX: Line = {"progressDetail": {}, "aux": {"Tag": "1.4.2", "Digest": sha("d"), "Size": 1234}}


def layer(identity: str, status: str, current: int = 0, total: int = 0) -> Line:
    """A line of one layer; the engine leaves `progressDetail` empty where there is nothing to count."""
    detail = {"current": current, "total": total} if total or current else {}
    bar = {"progress": "[==>  ] 1B/2B"} if detail else {}
    return {"status": status, "progressDetail": detail, **bar, "id": identity}


def written(*said: Line) -> list[push_stream.Line]:
    """Lines as they come."""
    return [push_stream.Line(text, len(text)) for text in (json.dumps(one).encode() for one in said)]


def read(*lines: Line, secrets: tuple[str, ...] = ()) -> EngineAnswer:
    return read_push_stream(REF, written(*lines), lambda event: None, secrets)


def events(*lines: Line) -> list[LayerEvent]:
    found: list[LayerEvent] = []
    read_push_stream(REF, written(*lines), found.append)
    return found


def accepted(*lines: Line) -> Layers:
    answer = read(*lines, TEXT, AUX)
    assert isinstance(answer, EngineAccepted), answer
    return answer.layers


def refused(*lines: Line, secrets: tuple[str, ...] = ()) -> str:
    answer = read(*lines, secrets=secrets)
    assert isinstance(answer, EngineRefused), answer
    assert answer == EngineRefused(Evidence(Stage.PUSH, answer.evidence.message))
    return answer.evidence.message


# ---------------------------------------------------------------------- whole streams


CLASSIC = (
    HEAD,
    layer(A, "Preparing"),
    layer(B, "Preparing"),
    layer(C, "Preparing"),
    layer(C, "Waiting"),
    layer(A, "Layer already exists"),
    layer(B, "Pushing", 512, 2048),
    layer(B, "Pushing", 2560),
    layer(C, "Mounted from team/base"),
    layer(B, "Pushed"),
    TEXT,
    AUX,
)
CONTAINERD = (
    HEAD,
    layer(A, "Waiting"),
    layer(B, "Waiting"),
    layer(A, "Layer already exists"),
    layer(B, "Pushing", 1024, 2048),
    layer(B, "Pushed", 2048, 2048),
    TEXT,
)


def test_a_good_push_of_either_store() -> None:
    for stream, layers in (
        (CLASSIC, Layers(reused=1, mounted=1, sent=1, bytes_sent=2560)),
        (CONTAINERD, Layers(reused=1, sent=1, bytes_sent=2048)),
    ):
        assert read(*stream) == EngineAccepted(sha("d"), layers), stream


def test_every_change_of_a_layer_is_told() -> None:
    found = [(event.layer, event.state, event.current, event.total) for event in events(*CLASSIC)]
    waiting, pushing = LayerState.WAITING, LayerState.PUSHING
    assert found == [
        (A, waiting, 0, 0),
        (B, waiting, 0, 0),
        (C, waiting, 0, 0),
        (C, waiting, 0, 0),
        (A, LayerState.REUSED, 0, 0),
        (B, pushing, 512, 2048),
        (B, pushing, 2560, 2048),
        (C, LayerState.MOUNTED, 0, 0),
        (B, LayerState.SENT, 2560, 2560),
    ]
    assert {event.reference for event in events(*CLASSIC)} == {REF}


# ---------------------------------------------------------------------- layers


def test_layers_are_counted_by_what_became_of_them() -> None:
    for lines, layers in (
        ([layer(A, "Layer already exists")], Layers(reused=1)),
        ([layer(A, "Already exists")], Layers(reused=1)),
        ([layer(A, "Mounted from team/base")], Layers(mounted=1)),
        ([layer(A, "Mounted from library/alpine")], Layers(mounted=1)),
        ([layer(A, "Pushing", 1, 9), layer(A, "Pushed")], Layers(sent=1, bytes_sent=9)),
        ([layer(A, "Pushing", 12, 9), layer(A, "Pushed")], Layers(sent=1, bytes_sent=12)),
        (
            [layer(A, "Pushing", 5, 9), layer(A, "Retrying in 3 seconds"), layer(A, "Pushed")],
            Layers(sent=1, bytes_sent=9),
        ),
        ([layer(A, "Pushing", 9, 9), layer(A, "Pushing", 1, 9), layer(A, "Pushed")], Layers(sent=1, bytes_sent=9)),
        ([layer(A, "Preparing"), layer(A, "Pushed")], Layers(sent=1, unsized=(A,))),
        ([layer(A, "Waiting"), layer(B, "Pushed", 3, 3)], Layers(sent=1, bytes_sent=3)),
        ([layer(A, "Pushing", 5, 9)], Layers()),
        ([], UNREPORTED),
    ):
        assert accepted(*lines) == layers, lines


def test_lines_that_say_nothing_of_a_layer_are_passed_over() -> None:
    for line in (
        layer(A, "Dancing"),
        layer(A, ""),
        {"id": A},
        {"id": A, "status": None},
        {"status": "Pushed"},
        {"stream": "hello"},
        {"error": None, "errorDetail": None},
        {},
    ):
        assert events(line) == [], line
        assert accepted(line) == UNREPORTED, line


def test_a_malformed_count_does_not_end_the_run() -> None:
    for detail in (
        None,
        "half",
        [1, 2],
        {"current": None, "total": None},
        {"current": "many", "total": {}},
        {"current": -5, "total": -9},
        {"current": float("inf")},
        {"current": True},
    ):
        line = {"id": A, "status": "Pushing", "progressDetail": detail}
        assert accepted(line, layer(A, "Pushed")).sent == 1, detail


def test_a_layers_name_is_made_fit_to_show() -> None:
    (event,) = events(layer("\x1b[2J" + "a" * 500, "Waiting"))
    assert event.layer.isprintable()
    assert len(event.layer) <= 64


# ---------------------------------------------------------------------- the digest


def test_either_line_names_the_digest() -> None:
    for line in (TEXT, AUX):
        assert read(HEAD, line) == EngineAccepted(sha("d"), UNREPORTED), line


def test_aux_may_name_another_algorithm() -> None:
    digest = "sha512:" + "e" * 128
    assert read({"aux": {"Tag": "1.4.2", "Digest": digest}}) == EngineAccepted(digest, UNREPORTED)


def test_no_digest_of_this_very_tag_is_no_success() -> None:
    lines: tuple[Line, ...] = (
        {"status": f"latest: digest: {sha('d')} size: 1234"},
        {"status": "1.4.2: digest: sha256:abc size: 1234"},
        {"status": f"see 1.4.2: digest: {sha('d')} size: 1234"},
        {"status": f"1.4.2: digest: {sha('d')} size: 1234\nmore"},
        {"aux": {"Tag": "latest", "Digest": sha("d"), "Size": 1}},
        {"aux": {"Tag": "1.4.2", "Digest": "\x1b[2J", "Size": 1}},
        {"aux": {"Tag": "1.4.2", "Digest": None}},
        {"aux": {"Digest": sha("d")}},
        {"aux": {}},
        {"aux": None},
        {"aux": "sha256"},
        layer(A, f"1.4.2: digest: {sha('d')} size: 1234"),
        HEAD,
    )
    for line in lines:
        assert refused(line) == "the engine ended the push without naming a digest", line


def test_what_was_named_stays_named() -> None:
    later: Line
    for later in ({"aux": {}}, {"aux": {"contentMissing": True}}, HEAD):
        assert read(AUX, later) == EngineAccepted(sha("d"), UNREPORTED), later
        assert read(reduction(), later) == EngineReduced(sha("1"), sha("2"), ""), later


def test_an_empty_stream_is_no_success() -> None:
    assert refused() == "the engine ended the push without naming a digest"


# ---------------------------------------------------------------------- an index reduced to one platform


def reduction(**chosen: object) -> Line:
    """moby `api/types/auxprogress/push.go`: lower-case names on the wire."""
    return {
        "aux": {
            "manifestPushedInsteadOfIndex": True,
            "originalIndex": {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": sha("1"), "size": 2},
            "selectedManifest": {"digest": sha("2"), **chosen},
        }
    }


def test_an_index_reduced_to_one_platform_is_told_although_the_push_succeeded() -> None:
    for platform, name in (
        ({"architecture": "arm64", "os": "linux", "variant": "v8"}, "linux/arm64/v8"),
        ({"architecture": "amd64", "os": "linux"}, "linux/amd64"),
        ({"architecture": "\x1b[31mamd64", "os": "linux"}, "linux/ [31mamd64"),
        (None, ""),
    ):
        answer = read(HEAD, reduction(platform=platform), layer(A, "Pushed", 1, 1), TEXT)
        assert answer == EngineReduced(sha("1"), sha("2"), name), name


def test_a_reduction_without_particulars_is_one_too() -> None:
    assert read({"aux": {"manifestPushedInsteadOfIndex": True}}, TEXT) == EngineReduced("", "", "")


def test_another_note_is_no_reduction() -> None:
    for aux in ({"contentMissing": True}, {"manifestPushedInsteadOfIndex": False}):
        assert read({"aux": aux}, TEXT) == EngineAccepted(sha("d"), UNREPORTED), aux


def test_a_malformed_reduction_is_still_one() -> None:
    for broken in ("index", ["x"], 7):
        note = {"manifestPushedInsteadOfIndex": True, "originalIndex": broken, "selectedManifest": {"platform": broken}}
        assert isinstance(read({"aux": note}, TEXT), EngineReduced), broken


# ---------------------------------------------------------------------- errors


def test_an_error_ends_the_push() -> None:
    for line, message in (
        ({"errorDetail": {"message": "denied: no"}, "error": "denied: no"}, "denied: no"),
        ({"errorDetail": {"code": 401, "message": "denied: no"}}, "denied: no"),
        ({"error": "denied: no"}, "denied: no"),
        ({"errorDetail": {}, "error": "denied: no"}, "denied: no"),
        ({"errorDetail": "denied: no"}, "denied: no"),
        ({"errorDetail": {"message": ""}}, '{"message": ""}'),
        ({"errorDetail": {}, "error": ""}, "the engine reports an error without words"),
        ({"error": {"why": "denied: no"}}, '{"why": "denied: no"}'),
    ):
        assert refused(HEAD, layer(A, "Pushed", 1, 1), line) == message, message


def test_an_error_wins_over_a_digest_and_a_reduction() -> None:
    assert refused(TEXT, AUX, reduction(), {"error": "denied: no"}) == "denied: no"


def test_nothing_is_told_after_an_error() -> None:
    assert events({"error": "denied: no"}, layer(A, "Pushed")) == []


def test_a_hostile_message_is_made_fit_to_show() -> None:
    hostile = "denied\x1b]0;owned\x07: \u202eevil\u200b hunter2! Bearer abcdefghijklmnop " + "x" * 5000
    message = refused({"error": hostile}, secrets=("hunter2!",))
    assert message.isprintable()
    assert message.startswith("denied ]0;owned : evil *** Bearer ***")
    assert len(message) <= 500
