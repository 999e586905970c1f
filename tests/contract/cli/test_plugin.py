"""docker's argv and completion requests, as a plugin gets them; the orders to stop are in runtime/test_stop."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pushsafe.cli.plugin import complete, split, wants_signatures
from pushsafe.model.errors import UsageError
from pushsafe.model.request import DockerFlags

DOCKER = {"DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND": "docker"}
NO = DockerFlags()
ROOT = Path(__file__).parents[3]


BY_DOCKER = [
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
    ("--tlscacert a --tlscert=b --tlskey c pushsafe", DockerFlags(tlscacert="a", tlscert="b", tlskey="c"), ""),
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
]


def test_docker_runs_us() -> None:
    for line, flags, args in BY_DOCKER:
        invocation = split(line.split(), DOCKER)
        assert (invocation.flags, invocation.args) == (flags, tuple(args.split())), line


DIRECTLY = [
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
]


def test_started_directly() -> None:
    for environ in ({}, DOCKER):
        for line, flags, args in DIRECTLY:
            # With docker's variable the word is our own name.
            expected = () if environ and "pushsafe" in line else tuple(args.split())
            invocation = split(line.split(), environ)
            assert (invocation.flags, invocation.args) == (flags, expected), (line, environ)


REFUSED = [
    ("--unknown pushsafe", "--unknown"),
    ("--unknown=pushsafe pushsafe", "--unknown"),
    ("--version pushsafe", "--version"),
    ("-v pushsafe", "-v"),
    ("-Dx pushsafe", "-x"),
    ("-D= pushsafe", "-="),
    ("--tlsverify=maybe pushsafe", "maybe"),
    ("--tls= pushsafe", "''"),
    ("--= pushsafe", "--"),
]


def test_refused_flags() -> None:
    for line, says in REFUSED:
        with pytest.raises(UsageError) as caught:
            split(line.split(), DOCKER)
        assert says in caught.value.message, line
        assert caught.value.hint, line
    for line in ("--config", "-c", "-Dc", "--host"):
        with pytest.raises(UsageError, match="needs a value"):
            split(line.split(), {})


COMMANDS = (("rules", "List the\nrules"), ("explain", "Explain a rule"), ("ready", ""))
OPTIONS = {"": (("--format", "Output format"), ("--yes", "")), "rules": (("--json", "As JSON"),)}


COMPLETED = [
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
]


def test_complete() -> None:
    for line, answer in COMPLETED:
        assert complete(line.split("|"), COMMANDS, OPTIONS) == answer, line


def test_docker_takes_any_other_word_for_yes() -> None:
    assert not wants_signatures({})
    for value in ("", "0", "f", "F", "false", "False", "FALSE"):
        assert not wants_signatures({"DOCKER_CONTENT_TRUST": value}), value
    for value in ("1", "t", "true", "TRUE", "yes", "no", "2", " 0", "fAlse"):
        assert wants_signatures({"DOCKER_CONTENT_TRUST": value}), value


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
