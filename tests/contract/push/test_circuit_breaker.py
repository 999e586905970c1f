"""Registries that go away: asked once more before they are given up, and only if they ever answered."""

from __future__ import annotations

import pytest

from pushsafe.model.errors import ProxyAnswers, RegistryUnreachable
from pushsafe.model.evidence import Access, Evidence, Preflight, RegistryPing, Stage
from pushsafe.model.facts import Facts
from pushsafe.model.request import PushRequest
from pushsafe.model.verdicts import Failure, FailureKind
from pushsafe.oci.manifest import ManifestInfo
from pushsafe.push.engine_pusher import EnginePusher
from pushsafe.push.recorder import Recorder
from pushsafe.runtime.phase_timer import PhaseTimer
from tests.fakes.gateways import NOT_THERE, Registry, World, single
from tests.values import logged_in, ref

ONE, OTHER = ref("registry.test/team/app:1"), ref("other.test/team/app:1")
AWAY = RegistryUnreachable("https://registry.test: connection refused")
FAILURE = Failure(FailureKind.NETWORK, "EOF", next=("curl -sSi https://registry.test/v2/",))
REACHED = Facts(ONE, credential=logged_in(), preflight=Preflight())


def pusher(world: World) -> EnginePusher:
    return EnginePusher(PushRequest((ONE,)), world.gateways, Recorder(world.observer, PhaseTimer()))


def told(answer: ManifestInfo | Evidence | Exception, fact: Facts, *, noted: bool = True) -> tuple[str, list[int]]:
    """Why a registry is given up, and how often each question to it is asked again."""
    retries: list[int] = []

    class Asked(Registry):
        def manifest(self, *args: object, retry_policy: object = None, **options: object) -> ManifestInfo | Evidence:
            retries.append(getattr(retry_policy, "retries", -1))
            if isinstance(answer, Exception):
                raise answer
            return answer

    found = pusher(World(registry=Asked()))
    if noted:
        found.note("registry.test", FAILURE)
    gone = found.gone(fact._replace(credential=logged_in()))
    return (gone.message if gone else ""), retries


GONE = f"registry.test does not answer any more: {AWAY.message}"


@pytest.mark.parametrize(
    ("answer", "fact", "message", "retries"),
    [
        (AWAY, REACHED, GONE, [1]),
        (single(), REACHED, "", [1]),
        (NOT_THERE, REACHED, "", [1]),
        (ProxyAnswers("the proxy says 502"), REACHED, "", [1]),
        (AWAY, Facts(ONE, preflight=Preflight(problem="away")), "", []),
        (AWAY, Facts(ONE, ping=RegistryPing(Access.OPEN)), GONE, [1]),
        (AWAY, Facts(ONE, ping=RegistryPing(Access.UNKNOWN)), "", []),
        (AWAY, Facts(ONE), "", []),
        (AWAY, Facts(OTHER, preflight=Preflight()), "", []),
    ],
    ids=[
        "away",
        "there",
        "no-such-tag",
        "by-proxy",
        "never-reached",
        "pinged",
        "not-pinged",
        "never-asked",
        "another-registry",
    ],
)
def test_a_registry_is_given_up(
    answer: ManifestInfo | Evidence | Exception, fact: Facts, message: str, retries: list[int]
) -> None:
    assert told(answer, fact) == (message, retries)


def test_without_a_failure_nobody_is_asked() -> None:
    assert told(AWAY, REACHED, noted=False) == ("", [])


@pytest.mark.parametrize(
    ("failure", "commands"),
    [(FAILURE, FAILURE.next), (FAILURE._replace(kind=FailureKind.POLICY), ())],
    ids=["network", "another-cause"],
)
def test_what_is_said_of_it(failure: Failure, commands: tuple[str, ...]) -> None:
    world = World(registry=Registry(held={str(ONE): AWAY}))
    found = pusher(world)
    found.note("registry.test", failure)
    assert found.gone(REACHED) == Failure(FailureKind.NETWORK, GONE, (Evidence(Stage.PING, AWAY.message),), commands)
