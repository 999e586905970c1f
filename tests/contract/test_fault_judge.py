"""The judge of the fault matrix: each figure that has to be nothing can be something; its registry misses nothing."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pushsafe.demo.registry import Account
from pushsafe.model.outcomes import Failed, NotChecked, NotPushed, Outcome, Pushed, Verification, Verified
from pushsafe.model.verdicts import Failure, FailureKind
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.report.exit_codes import ExitCode
from pushsafe.report.json import render
from tests.fakes.archives import digest_of
from tests.fakes.registry import certificate
from tests.faults.front import OURS, REPOSITORY, Front, Put, Sighting
from tests.faults.judge import Figure, Held, Observed, engine_leaks, judge
from tests.faults.matrix import Case, cases, named, sample
from tests.faults.page import PAGE, is_fresh
from tests.faults.running import hold_an_older_image
from tests.faults.stages import STAGES, WAYS
from tests.faults.table import FAULTS
from tests.lab.plugin import auth
from tests.reports import DIGEST, MANIFEST, OTHER, UNASKED, report

TAGS = ("1.4.2", "1.4", "latest")
IMAGE = "sha256:" + "c" * 64

THERE: tuple[Outcome, Verification] = (Pushed(DIGEST), Verified(ManifestInfo(DIGEST, MANIFEST), "registry"))
UNREAD: tuple[Outcome, Verification] = (Pushed(DIGEST), NotChecked("the registry answers 500"))
FAILED: tuple[Outcome, Verification] = (
    Failed(Failure(FailureKind.REGISTRY_ERROR, "manifest invalid", next=("docker push",))),
    UNASKED,
)
NOT_PUSHED: tuple[Outcome, Verification] = (NotPushed("1.4.2 failed"), UNASKED)
CUT: tuple[Outcome, Verification] = (
    NotPushed("cut off while it was being pushed; the registry may hold it", begun=True),
    UNASKED,
)


def said(*became: tuple[Outcome, Verification]) -> str:
    """The program's report of what became of each tag."""
    return render(report(*((tag, *one) for tag, one in zip(TAGS, became, strict=True))))


def holding(*tags: str, lacking: str = "", other: str = "") -> Held:
    """A registry that holds the image under these tags, one of them not whole; `other` names another image."""
    named = {**dict.fromkeys(tags, DIGEST), **({other: OTHER} if other else {})}
    images = {tag: IMAGE if digest == DIGEST else OTHER for tag, digest in named.items()}
    return Held(named, images, {lacking: [f"{OTHER} is not there"]} if lacking else {})


def puts(*order: str) -> tuple[Put, ...]:
    return tuple(Put(tag, dict.fromkeys(order[: number + 1], DIGEST)) for number, tag in enumerate(order))


RIGHT = Observed(0, said(THERE, THERE, THERE), "", TAGS, IMAGE, holding(*TAGS), puts=puts(*TAGS), met=1)


def sighting(*, ours: bool, credential: bool) -> Sighting:
    return Sighting("port", "GET /v2/", ours, credential)


TRUE: dict[str, Observed] = {
    "all is well": RIGHT,
    "nothing was pushed, and nothing is there": replace(
        RIGHT, status=7, stdout=said(FAILED, FAILED, NOT_PUSHED), held=holding(other="latest"), puts=()
    ),
    "what is there is not confirmed, and latest waits": replace(
        RIGHT, status=8, stdout=said(UNREAD, THERE, NOT_PUSHED), held=holding("1.4.2", "1.4"), puts=puts("1.4.2", "1.4")
    ),
    "cut off, and said that it may be there": replace(
        RIGHT, status=1, stdout=said(CUT, NOT_PUSHED, NOT_PUSHED), held=holding("1.4.2"), puts=puts("1.4.2")
    ),
    "another image under the tag of a failure": replace(
        RIGHT, status=7, stdout=said(FAILED, FAILED, NOT_PUSHED), held=holding(other="1.4.2"), puts=()
    ),
    "this program elsewhere, without a credential": replace(RIGHT, sightings=[sighting(ours=True, credential=False)]),
    "the engine elsewhere, with one": replace(RIGHT, sightings=[sighting(ours=False, credential=True)]),
}


@pytest.mark.parametrize("seen", TRUE.values(), ids=TRUE)
def test_a_true_report_is_no_offence(seen: Observed) -> None:
    assert judge(seen) == ()


LIES: list[tuple[Figure, str, Observed]] = [
    (Figure.FALSE_SUCCESS, "a tag is not there", replace(RIGHT, held=holding("1.4.2", "latest"))),
    (Figure.FALSE_SUCCESS, "a tag names something else", replace(RIGHT, held=holding("1.4.2", "latest", other="1.4"))),
    (
        Figure.FALSE_SUCCESS,
        "the claimed digest is another",
        replace(RIGHT, held=replace(holding(*TAGS), tags={**dict.fromkeys(TAGS, DIGEST), "1.4": OTHER})),
    ),
    (
        Figure.FALSE_SUCCESS,
        "a tag is verified though the run failed",
        replace(RIGHT, status=7, stdout=said(THERE, FAILED, NOT_PUSHED), held=holding(), puts=()),
    ),
    (Figure.FALSE_SUCCESS, "verified, and not whole", replace(RIGHT, held=holding(*TAGS, lacking="1.4"))),
    (Figure.BROKEN, "a bug of ours", replace(RIGHT, status=int(ExitCode.BUG), stdout="")),
    (Figure.BROKEN, "a traceback", replace(RIGHT, stderr="Traceback (most recent call last):\n")),
    (Figure.BROKEN, "a signal", replace(RIGHT, status=-11, stdout="")),
    (Figure.BROKEN, "no report", replace(RIGHT, status=2, stdout="")),
    (Figure.BROKEN, "no JSON", replace(RIGHT, stdout="ok")),
    (Figure.BROKEN, "not by the schema", replace(RIGHT, stdout='{"schema": 1}')),
    (Figure.BROKEN, "another exit code in the report", replace(RIGHT, status=3)),
    (Figure.BROKEN, "a tag is left out", replace(RIGHT, tags=(*TAGS, "1.5"))),
    (Figure.ENDLESS, "ended by force", replace(RIGHT, status=None, stdout="")),
    (Figure.CREDENTIAL, "ours", replace(RIGHT, sightings=[sighting(ours=True, credential=True)])),
    (Figure.EARLY, "put first", replace(RIGHT, puts=puts("latest", "1.4.2", "1.4"))),
    (Figure.EARLY, "put before the last", replace(RIGHT, puts=puts("1.4.2", "latest", "1.4"))),
    (Figure.EARLY, "another tag is not confirmed", replace(RIGHT, status=8, stdout=said(UNREAD, THERE, THERE))),
    (
        Figure.EARLY,
        "another tag is not there",
        replace(RIGHT, status=7, stdout=said(FAILED, THERE, CUT), held=holding("1.4", "latest"), puts=puts("1.4")),
    ),
    (
        Figure.INCOMPLETE,
        "whatever is claimed",
        replace(RIGHT, status=7, stdout=said(FAILED, FAILED, NOT_PUSHED), held=holding(lacking="1.4.2")),
    ),
    (Figure.UPLOAD, "left open", replace(RIGHT, left=["4a1f"])),
    (
        Figure.UNDERSOLD,
        "failed, and there",
        replace(RIGHT, status=7, stdout=said(FAILED, FAILED, NOT_PUSHED), held=holding("1.4.2"), puts=puts("1.4.2")),
    ),
    (
        Figure.UNDERSOLD,
        "not pushed, and there",
        replace(RIGHT, status=7, stdout=said(FAILED, NOT_PUSHED, NOT_PUSHED), held=holding("1.4"), puts=()),
    ),
]


@pytest.mark.parametrize(("figure", "seen"), [(figure, seen) for figure, _, seen in LIES], ids=[w for _, w, _ in LIES])
def test_each_figure_can_fail(figure: Figure, seen: Observed) -> None:
    assert figure in {offence.figure for offence in judge(seen)}


def test_every_figure_is_shown_to_fail() -> None:
    assert {figure for figure, _, _ in LIES} == set(Figure)


def test_an_engines_credential_is_counted_apart() -> None:
    seen = replace(RIGHT, sightings=[sighting(ours=False, credential=True), sighting(ours=True, credential=False)])
    assert engine_leaks(seen) == (sighting(ours=False, credential=True),)


# ---------------------------------------------------------------------- the cases


def test_there_are_cases_enough_and_each_has_a_name() -> None:
    names = [str(case) for case in cases()]
    assert len(set(names)) == len(names) >= 480
    assert {(case.way, case.stage.name) for case in cases()} == {
        (way, stage.name) for stage in STAGES.values() for way in stage.ways
    }
    assert {case.fault.name for case in cases()} == set(FAULTS)
    assert all(str(named(name)) == name for name in names[::97])
    with pytest.raises(LookupError):
        named("layout/patch/403")


@pytest.mark.parametrize("size", [150, 480])
def test_a_sample_has_a_share_of_every_way_and_stage(size: int) -> None:
    chosen = sample(size, seed=7)
    assert len(set(chosen)) == size
    places = {(case.way, case.stage.name) for case in cases()}
    shares = [sum((case.way, case.stage.name) == place for case in chosen) for place in places]
    assert max(shares) - min(shares) <= 1
    assert sample(size, seed=7) == chosen != sample(size, seed=8)


def test_a_sample_may_have_fewer_that_wait() -> None:
    def slow(chosen: tuple[Case, ...]) -> int:
        return sum(case.fault.slow for case in chosen)

    assert slow(sample(500, 1, slow=0)) == 0 < slow(sample(500, 1))


# ---------------------------------------------------------------------- the front


ACCOUNT = Account("writer", "secret", ("pull", "push"))
Starting = Callable[..., Front]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starting]:
    """Starts the registry of a case, by its stage and fault."""
    running: list[Front] = []
    tls = certificate(tmp_path, "localhost")

    def begin(stage: str, fault: str, *, always: bool = True) -> Front:
        front = Front(tmp_path / "registry", ACCOUNT, STAGES[stage], FAULTS[fault].act, always=always, tls=tls)
        running.append(front.__enter__())
        return front

    yield begin
    for front in running:
        front.__exit__(None, None, None)


def token(front: Front) -> str:
    url = f"http://{front.host}/token?scope=repository:{REPOSITORY}:pull,push"
    basic = {"Authorization": f"Basic {auth(ACCOUNT.name, ACCOUNT.password)['auth']}"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=basic), timeout=10) as answer:
        return str(json.load(answer)["token"])


def ask(front: Front, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str]]:
    """As this program asks; redirects are followed as Python's client follows them, with all headers."""
    url = path if "://" in path else f"http://{front.host}/v2/{REPOSITORY}/{path}"
    known = {"User-Agent": f"{OURS}1", "Authorization": f"Bearer {token(front)}", **headers}
    request = urllib.request.Request(url, data=body, method=method, headers=known)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return answer.status, dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers)


MANIFEST_BODY = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": []}).encode()


def put(front: Front, tag: str) -> int:
    return ask(front, "PUT", f"manifests/{tag}", MANIFEST_BODY, **{"Content-Type": MANIFEST})[0]


@pytest.mark.parametrize(
    ("fault", "status", "stored"),
    [("500", 500, False), ("after-500", 500, True), ("stores-nothing", 201, False), ("as-204", 204, True)],
)
def test_a_fault_does_what_it_says(start: Starting, fault: str, status: int, stored: bool) -> None:
    front = start("manifest-put", fault)
    assert put(front, "1") == status
    assert front.tags() == ({"1": digest_of(MANIFEST_BODY)} if stored else {})
    assert put(front, "2") == 201  # another stage
    assert front.known.met == 1
    assert [(one.tag, sorted(one.tags)) for one in front.known.puts] == (
        [("1", ["1"]), ("2", ["1", "2"])] if stored else [("2", ["2"])]
    )


def test_a_fault_that_happens_once(start: Starting) -> None:
    front = start("manifest-put", "500", always=False)
    assert [put(front, "1"), put(front, "1")] == [500, 201]


@pytest.mark.parametrize("fault", ["close-before", "reset-after", "tls-alert", "http09", "header-huge"])
def test_what_is_no_answer(start: Starting, fault: str) -> None:
    front = start("read-back", fault)
    put(front, "1")
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(front, "HEAD", "manifests/1")


@pytest.mark.parametrize("fault", ["307-port", "307-host", "307-https"])
def test_a_credential_elsewhere_is_seen(start: Starting, fault: str) -> None:
    front = start("head-tag", fault)
    ask(front, "GET", "manifests/1")
    where = fault.partition("-")[2]
    seen = front.known.sightings
    assert [(one.where, one.ours, one.credential) for one in seen] == [(where, True, True)]


def test_an_upload_is_left_open_until_it_is_ended(start: Starting) -> None:
    front = start("ping", "500")
    opened = [ask(front, "POST", "blobs/uploads/", b"")[1]["Location"] for _ in range(2)]
    names = {place.rpartition("/")[2] for place in opened}
    assert front.known.opened == front.open_uploads() == names
    ask(front, "DELETE", f"http://{front.host}{opened[0]}")
    assert front.known.ended == {opened[0].rpartition("/")[2]}
    assert ask(front, "POST", "blobs/uploads/", b"", **{"User-Agent": "docker/28"})[0] == 202
    assert front.known.opened == names


def test_an_upload_that_is_said_to_be_a_blob_cannot_be_cancelled(start: Starting) -> None:
    front = start("put-blob", "stores-nothing")
    place = ask(front, "POST", "blobs/uploads/", b"")[1]["Location"]
    assert ask(front, "PUT", f"http://{front.host}{place}?digest={digest_of(b'blob')}", b"blob")[0] == 201
    assert front.open_uploads() == front.known.ended == {place.rpartition("/")[2]}


def test_what_is_missing_is_found(start: Starting) -> None:
    front = start("ping", "500")
    hold_an_older_image(front)
    digest = front.tags()["latest"]
    assert list(front.lacks(digest)) == []
    document = json.loads(front.repository.read(digest)[1])
    assert front.config_of(digest) == document["config"]["digest"]
    layer = front.repository.blob(document["layers"][0]["digest"])
    layer.write_bytes(b"something else")
    assert list(front.lacks(digest)) == [f"{document['layers'][0]['digest']} is something else"]
    layer.unlink()
    assert list(front.lacks(digest)) == [f"{document['layers'][0]['digest']} is not there"]
    front.repository.manifest(digest).unlink()
    assert list(front.lacks(digest)) == [f"{digest} is not there"]


def test_every_way_has_a_name() -> None:
    assert set(WAYS) == {case.way for case in cases()}


def test_the_page_is_in_step_with_the_tables() -> None:
    assert is_fresh(PAGE.read_text(encoding="utf-8")), "python -m tests.faults --write"
