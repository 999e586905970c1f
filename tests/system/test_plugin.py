"""docker's argv, completion requests and the order to stop, as a plugin gets them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pushsafe.cli.plugin import complete, split, wants_signatures
from pushsafe.model.errors import UsageError
from pushsafe.model.request import DockerFlags
from pushsafe.runtime.signals import install_stop

DOCKER = {"DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND": "docker"}
NO = DockerFlags()
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("line", "flags", "args"),
    [
        ("pushsafe", NO, ""),
        ("pushsafe REF", NO, "REF"),
        ("pushsafe -H x --config y -- -c", NO, "-H x --config y -- -c"),
        ("pushsafe pushsafe", NO, "pushsafe"),
        ("--config DIR pushsafe REF", DockerFlags(config="DIR"), "REF"),
        ("--config=DIR pushsafe REF", DockerFlags(config="DIR"), "REF"),
        ("--config= pushsafe REF", DockerFlags(config=""), "REF"),
        ("--config pushsafe pushsafe REF", DockerFlags(config="pushsafe"), "REF"),
        ("-c CTX pushsafe REF", DockerFlags(context="CTX"), "REF"),
        ("-cCTX pushsafe", DockerFlags(context="CTX"), ""),
        ("-c=CTX pushsafe", DockerFlags(context="CTX"), ""),
        ("-c= pushsafe", DockerFlags(context="="), ""),
        ("-c a --context b pushsafe", DockerFlags(context="b"), ""),
        ("-H a -H b --host=c pushsafe", DockerFlags(host=("a", "b", "c")), ""),
        ("-Dc CTX pushsafe", DockerFlags(debug=True, context="CTX"), ""),
        ("-DcCTX pushsafe", DockerFlags(debug=True, context="CTX"), ""),
        ("-DDl debug pushsafe", DockerFlags(debug=True, log_level="debug"), ""),
        ("-D=false pushsafe", DockerFlags(debug=False), ""),
        ("--debug --log-level warn pushsafe", DockerFlags(debug=True, log_level="warn"), ""),
        ("--tls pushsafe", DockerFlags(tls=True), ""),
        ("--tls=0 --tlsverify=F pushsafe", DockerFlags(tls=False, tlsverify=False), ""),
        (
            "--tlscacert a --tlscert=b --tlskey c pushsafe",
            DockerFlags(tlscacert="a", tlscert="b", tlskey="c"),
            "",
        ),
        ("-- pushsafe REF", NO, "REF"),
        ("-D -- pushsafe -x", DockerFlags(debug=True), "-x"),
        ("help pushsafe", NO, "--help"),
        ("-c CTX help pushsafe rules", DockerFlags(context="CTX"), "rules --help"),
        ("--help pushsafe", NO, "--help"),
        ("-h pushsafe explain PS101", NO, "explain PS101 --help"),
        ("--help=true pushsafe", NO, "--help"),
        ("pushsafe help", NO, "--help"),
        ("pushsafe help rules", NO, "rules --help"),
        ("pushsafe --help", NO, "--help"),
        ("__complete pushsafe ru", NO, "__complete ru"),
        ("__completeNoDesc pushsafe rules --", NO, "__completeNoDesc rules --"),
        ("pushsafe docker-cli-plugin-hooks {}", NO, "docker-cli-plugin-hooks {}"),
    ],
)
def test_docker_runs_us(line: str, flags: DockerFlags, args: str) -> None:
    invocation = split(line.split(), DOCKER)
    assert (invocation.flags, invocation.args) == (flags, tuple(args.split()))


@pytest.mark.parametrize(
    ("line", "flags", "args"),
    [
        ("", NO, ""),
        ("REF OTHER", NO, "REF OTHER"),
        ("pushsafe", NO, "pushsafe"),
        ("-c CTX REF -n", DockerFlags(context="CTX"), "REF -n"),
        ("--version", NO, "--version"),
        ("--help", NO, "--help"),
        ("-h", NO, "-h"),
        ("help rules", NO, "rules --help"),
        ("--format json -D REF", NO, "--format json -D REF"),
        ("-D --format json REF", DockerFlags(debug=True), "--format json REF"),
        ("-Dn REF", NO, "-Dn REF"),
        ("-- REF", NO, "-- REF"),
        ("- REF", NO, "- REF"),
        ("docker-cli-plugin-hooks {}", NO, "docker-cli-plugin-hooks {}"),
    ],
)
@pytest.mark.parametrize("environ", [{}, DOCKER])
def test_started_directly(line: str, flags: DockerFlags, args: str, environ: dict[str, str]) -> None:
    if environ and "pushsafe" in line:
        # With docker's variable the word is our own name.
        args = ""
    invocation = split(line.split(), environ)
    assert (invocation.flags, invocation.args) == (flags, tuple(args.split()))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--unknown pushsafe", "--unknown"),
        ("--unknown=pushsafe pushsafe", "--unknown"),
        ("--version pushsafe", "--version"),
        ("-v pushsafe", "-v"),
        ("-Dx pushsafe", "-x"),
        ("-D= pushsafe", "-="),
        ("--tlsverify=maybe pushsafe", "maybe"),
        ("--tls= pushsafe", "''"),
        ("--= pushsafe", "--"),
    ],
)
def test_refused_flags(line: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        split(line.split(), DOCKER)
    assert says in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("line", ["--config", "-c", "-Dc", "--host"])
def test_missing_value(line: str) -> None:
    with pytest.raises(UsageError, match="needs a value"):
        split(line.split(), {})


COMMANDS = (("rules", "List the\nrules"), ("explain", "Explain a rule"), ("ready", ""))
OPTIONS = {"": (("--format", "Output format"), ("--yes", "")), "rules": (("--json", "As JSON"),)}


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("__complete|", "rules\tList the rules\nexplain\tExplain a rule\nready\n:4\n"),
        ("__complete|r", "rules\tList the rules\nready\n:4\n"),
        ("__completeNoDesc|r", "rules\nready\n:4\n"),
        ("__complete|-", "--format\tOutput format\n--yes\n:4\n"),
        ("__complete|--yes|e", "explain\tExplain a rule\n:4\n"),
        ("__complete|rules|--", "--json\tAs JSON\n:4\n"),
        ("__complete|some/image:1|--f", "--format\tOutput format\n:4\n"),
        ("__complete|rules|", ":4\n"),
        ("__complete|nothing", ":4\n"),
        ("__complete", "rules\tList the rules\nexplain\tExplain a rule\nready\n:4\n"),
    ],
)
def test_complete(line: str, answer: str) -> None:
    assert complete(line.split("|"), COMMANDS, OPTIONS) == answer


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        (None, False), ("", False), ("0", False), ("f", False), ("F", False), ("false", False), ("False", False),
        ("FALSE", False), ("1", True), ("t", True), ("true", True), ("TRUE", True), ("yes", True), ("no", True),
        ("2", True), (" 0", True), ("fAlse", True),
    ],
)  # fmt: skip
def test_docker_takes_any_other_word_for_yes(value: str | None, asked: bool) -> None:
    assert wants_signatures({} if value is None else {"DOCKER_CONTENT_TRUST": value}) is asked


# --------------------------------------------------------------------------- stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_first_signal_unwinds(number: int) -> None:
    before = signal.getsignal(number)
    with install_stop({}) as watch:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        assert watch.requested
    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_stays_so() -> None:
    """As `nohup` starts a command."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with install_stop({}) as watch:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not watch.requested
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_watch_that_is_eased_calls_nobody() -> None:
    calls: list[int] = []
    with install_stop({}, lambda: calls.append(1)) as watch:
        watch.ease()
        os.kill(os.getpid(), signal.SIGINT)
        assert watch.requested
    assert calls == []


def test_nobody_asks() -> None:
    with install_stop({}) as watch:
        assert not watch.requested


def _listener(address: str) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen()
    return server


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_closed_socket_unwinds_a_blocked_main_thread(kind: str, tmp_path: Path) -> None:
    if kind == "abstract" and sys.platform != "linux":
        pytest.skip("abstract sockets exist on Linux only")
    name = str(tmp_path / "s") if kind == "path" else f"@pushsafe-{os.getpid()}"
    server = _listener(name.replace("@", "\0"))
    silent, _other_end = socket.socketpair()
    with server, install_stop({"DOCKER_CLI_PLUGIN_SOCKET": name}) as watch:
        connection, _ = server.accept()
        threading.Timer(0.1, connection.close).start()
        started = time.monotonic()
        silent.settimeout(10)
        with pytest.raises(KeyboardInterrupt):
            silent.recv(1)
        assert watch.requested
        assert time.monotonic() - started < 5


def test_one_ctrl_c_that_comes_twice_is_one(tmp_path: Path) -> None:
    calls: list[int] = []
    server = _listener(str(tmp_path / "s"))
    with server, install_stop({"DOCKER_CLI_PLUGIN_SOCKET": str(tmp_path / "s")}, lambda: calls.append(1)) as watch:
        connection, _ = server.accept()
        connection.close()
        deadline = time.monotonic() + 5
        while not watch.requested and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        assert calls == [1]


def test_leaving_is_no_stop(tmp_path: Path) -> None:
    calls: list[int] = []
    with (
        _listener(str(tmp_path / "s")) as server,
        install_stop({"DOCKER_CLI_PLUGIN_SOCKET": str(tmp_path / "s")}, lambda: calls.append(1)),
    ):
        connection, _ = server.accept()
        connection.send(b"x")
    connection.close()
    time.sleep(0.1)
    assert calls == []


@pytest.mark.parametrize("name", ["", "/nowhere/at/all", "@nobody-listens"])
def test_a_socket_that_is_not_there_is_ignored(name: str) -> None:
    with install_stop({"DOCKER_CLI_PLUGIN_SOCKET": name}) as watch:
        assert not watch.requested


def test_second_signal_ends_at_once_with_130() -> None:
    program = (
        "import os, time; from pushsafe.runtime.signals import install_stop\n"
        "with install_stop(os.environ, lambda: os.write(1, b'stopping\\n')):\n"
        "    print('ready', flush=True); time.sleep(20)"
    )
    child = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout as lines:
        assert lines.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        assert lines.readline() == "stopping\n"
        child.send_signal(signal.SIGTERM)
        assert child.wait(5) == 130


@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGHUP, signal.SIGHUP),
        (signal.SIGTERM, signal.SIGHUP),
        (signal.SIGHUP, signal.SIGTERM),
        (signal.SIGINT, signal.SIGHUP),
    ],
)
def test_a_terminal_that_is_closed_is_no_second_signal(numbers: tuple[int, ...]) -> None:
    """The kernel and the shell tell us both, and a session that ends sends SIGTERM as well."""
    stops: list[bool] = []
    with install_stop({}, lambda: stops.append(True)):
        for number in numbers:
            os.kill(os.getpid(), number)
    assert stops == [True]


def test_nothing_heavy_is_imported() -> None:
    program = (
        "import sys, json; before = set(sys.modules); import pushsafe.cli.plugin\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(json.loads(answer.stdout)) & {
        "click",
        "docker",
        "urllib3",
        "socket",
        "signal",
        "subprocess",
        "asyncio",
        "json",
    }
