"""The gateways of a real run: what the engine says of itself is asked for once, by whoever needs it first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pushsafe.cli.bootstrap import gateways
from pushsafe.model.errors import EngineUnreachable
from pushsafe.model.request import DockerFlags
from pushsafe.push.ports import Gateways
from pushsafe.registry.http import transport
from tests.fakes.capture import FakeEngine

THREADS = 8
INSECURE = ("127.0.0.0/8", "registry.test:5000")


class Transport(transport.Transport):
    """Shows what it was given."""

    made: Transport

    def __init__(
        self,
        insecure_registries: Callable[[], tuple[str, ...]],
        engine_is_local: Callable[[], bool],
        *,
        deadline: Callable[[], float | None],
    ) -> None:
        super().__init__(insecure_registries, engine_is_local, deadline=deadline)
        self.insecure_registries = insecure_registries
        Transport.made = self


def list_of(outside: Gateways) -> Callable[[], tuple[str, ...]]:
    """What a registry that HTTPS does not reach asks for."""
    outside.registry()
    return Transport.made.insecure_registries


@pytest.fixture(autouse=True)
def _shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "Transport", Transport)


def environ(folder: Path) -> dict[str, str]:
    return {"HOME": str(folder), "PATH": ""}


def at(host: str) -> DockerFlags:
    return DockerFlags(host=(host,))


@pytest.mark.parametrize("with_engine", [True, False])
def test_many_threads_ask_once(with_engine: bool, tmp_path: Path) -> None:
    with (
        FakeEngine(insecure_registries=INSECURE) as engine,
        gateways(at(engine.host), environ(tmp_path), lambda: None, with_engine) as outside,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        asked = [pool.submit(list_of(outside)) for _ in range(THREADS)]
        assert {one.result() for one in asked} == {INSECURE}
        assert outside.engine_info().insecure_registries == INSECURE
        assert [one.path for one in engine.requests].count("/info") == 1


def test_a_run_without_an_engine_asks_it_for_nothing_else(tmp_path: Path) -> None:
    with FakeEngine() as engine, gateways(at(engine.host), environ(tmp_path), lambda: None, False) as outside:
        with pytest.raises(EngineUnreachable, match="no engine is asked, as the image is sent from here"):
            outside.engine()
        assert engine.requests == []


@pytest.mark.parametrize(("host", "with_engine", "local"), [("tcp://engine.test:1", True, False), ("x", False, True)])
def test_without_an_engine_every_registry_is_reached_from_here(
    host: str, with_engine: bool, local: bool, tmp_path: Path
) -> None:
    with gateways(at(host), environ(tmp_path), lambda: None, with_engine) as outside:
        outside.registry()
        assert Transport.made.engine_is_local() is local


def test_an_engine_that_is_down_calls_no_registry_insecure(tmp_path: Path) -> None:
    with gateways(at(f"unix://{tmp_path}/none"), environ(tmp_path)) as outside:
        assert list_of(outside)() == ()
        with pytest.raises(EngineUnreachable):
            outside.engine_info()


@pytest.mark.parametrize("left", [0.1, -1.0])
def test_the_list_is_not_waited_for_longer_than_the_run_may_take(left: float, tmp_path: Path) -> None:
    going_on, answering = threading.Event(), threading.Event()

    class Slow(FakeEngine):
        def _info_answer(self) -> Mapping[str, Any]:
            answering.set()
            going_on.wait(30)
            return super()._info_answer()

    with (
        Slow(insecure_registries=INSECURE) as engine,
        gateways(at(engine.host), environ(tmp_path), lambda: left) as outside,
        ThreadPoolExecutor(1) as pool,
    ):
        first = pool.submit(outside.engine_info)
        assert answering.wait(30)
        assert list_of(outside)() == ()
        going_on.set()
        assert first.result().insecure_registries == INSECURE
        assert list_of(outside)() == INSECURE


def test_after_an_interruption_nobody_asks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with FakeEngine() as engine, gateways(at(engine.host), environ(tmp_path)) as outside:
        outside.engine()
        monkeypatch.setattr("pushsafe.engine.api.Engine.info", interrupted)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                outside.engine_info()
            monkeypatch.undo()
