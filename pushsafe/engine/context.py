"""Finds the engine's address, by docker's order of precedence."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pushsafe.credentials import config_file
from pushsafe.credentials.config_file import MalformedError, fields, load
from pushsafe.model.errors import UsageError
from pushsafe.model.request import DockerFlags, EngineAddress

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
_PORT, _TLS_PORT = "2375", "2376"
_CONTEXT_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.+-]+")
# Characters that Go's net/url refuses in a host.
_NOT_IN_HOST = re.compile(r"[\x00-\x20\x7f\\^`{|}%]")


def config_dir(flags: DockerFlags, environ: Mapping[str, str]) -> Path:
    """docker's configuration folder: `--config`, else DOCKER_CONFIG, else `~/.docker` (`cli/config/config.go`).

    It need not exist.
    """
    return Path(flags.config) if flags.config else _default_dir(environ)


def _default_dir(environ: Mapping[str, str]) -> Path:
    if environ.get("DOCKER_CONFIG"):
        return Path(environ["DOCKER_CONFIG"])
    # As in docker, without HOME and passwd entry it is a folder of the current directory.
    home = environ.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises then
    return Path("" if home == "~" else home) / ".docker"


def resolve(flags: DockerFlags, environ: Mapping[str, str]) -> EngineAddress:
    """The engine that docker would use, and the setting that chose it; no connection is made.

    Order: `--context`, `--host`, DOCKER_HOST, DOCKER_CONTEXT, `currentContext` of config.json, the default context
    (docker/cli `cli/command/cli.go`). Hosts are complete: `unix://` with an absolute path, `tcp://` with a port,
    `ssh://` as given.

    Raises UsageError for conflicting flags, an invalid host, a missing or unreadable context, and missing TLS files.
    """
    if flags.context and flags.host:
        raise UsageError("--context and --host exclude each other", "leave one of them out")
    if len(flags.host) > 1:
        raise UsageError("docker takes only one --host (-H)", "leave the others out")
    name, origin = _context(flags, environ)
    if name == "default":
        return _default(flags, environ, origin)
    return _of_context(name, origin, config_dir(flags, environ))


def _context(flags: DockerFlags, environ: Mapping[str, str]) -> tuple[str, str]:
    """The name of the current context, and the setting that names it."""
    if flags.context:
        return flags.context, f"--context {flags.context}"
    if flags.host:
        return "default", "--host"
    if environ.get("DOCKER_HOST"):
        return "default", "DOCKER_HOST"
    if environ.get("DOCKER_CONTEXT"):
        return environ["DOCKER_CONTEXT"], f"DOCKER_CONTEXT={environ['DOCKER_CONTEXT']}"
    file = config_dir(flags, environ) / "config.json"
    config = config_file.read(file)
    if config.current_context:
        return config.current_context, f"the current context, {config.current_context}"
    # docker warns and goes on. PS303 reports more, unless the engine is down, which ends the run before.
    return "default", f"docker's default, because {file} {config.problem}" if config.problem else "docker's default"


def _default(flags: DockerFlags, environ: Mapping[str, str], origin: str) -> EngineAddress:
    """The default context, of flags and variables; `--context default` honours DOCKER_HOST, as in docker."""
    verify = flags.tlsverify if flags.tlsverify is not None else bool(environ.get("DOCKER_TLS_VERIFY"))
    tls = flags.tls if flags.tls is not None else bool(environ.get("DOCKER_TLS"))
    # `--tlsverify=false` still means TLS, only without verification (`cli/flags/options.go`, SetDefaultOptions).
    tls = tls or verify or flags.tlsverify is not None
    variable = environ.get("DOCKER_HOST", "")
    given = flags.host[0] if flags.host else variable
    if variable and not flags.host:
        origin = "DOCKER_HOST"
    host = parse_host(given, tls)
    if not tls:
        return EngineAddress(host, origin)
    ca, cert, key = _tls_files(flags, environ)  # missing ones are an error for every host
    if not host.startswith("tcp://"):
        return EngineAddress(host, origin)
    return EngineAddress(host, origin, None, True, verify, ca, cert, key)


def _tls_files(flags: DockerFlags, environ: Mapping[str, str]) -> tuple[str, str | None, str | None]:
    """CA, certificate and key. The pair may be missing unless a flag names it; the CA may not."""
    # docker chooses this folder before it reads --config, which therefore has no effect on it.
    folder = Path(environ.get("DOCKER_CERT_PATH") or _default_dir(environ))
    chosen: list[str | None] = []
    for given, name in ((flags.tlscacert, "ca"), (flags.tlscert, "cert"), (flags.tlskey, "key")):
        file = Path(given) if given is not None else folder / f"{name}.pem"
        if not os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises in a folder that is closed to us
            if given is None and name != "ca":
                chosen.append(None)
                continue
            raise UsageError(
                f"TLS is asked for, but there is no file {file}",
                "set DOCKER_CERT_PATH to the folder of ca.pem, cert.pem and key.pem, or unset DOCKER_TLS_VERIFY",
            )
        chosen.append(str(file))
    ca, cert, key = chosen
    assert ca is not None  # noqa: S101 - the loop raises instead
    return (ca, cert, key) if cert and key else (ca, None, None)


def parse_host(text: str, tls: bool = False) -> str:
    """The full form of a host of `-H` or DOCKER_HOST; empty means docker's default (`opts/hosts.go`).

    Raises UsageError for schemes that this program cannot use: unknown ones, `fd://`, `npipe://`.
    """
    text = text.strip()
    if not text:
        return f"tcp://localhost:{_TLS_PORT}" if tls else DEFAULT_SOCKET
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "tcp", text
    match scheme:
        case "tcp":
            return _tcp(rest, text, _PORT)
        case "unix" if "://" not in rest:
            return f"unix://{Path(rest).absolute()}" if rest else DEFAULT_SOCKET
        case "ssh":
            return text
        case "fd" | "npipe":
            raise _bad_host(text, f"{scheme}:// cannot be reached from here")
        case _:
            raise _bad_host(text, "docker knows unix://, tcp:// and ssh://")


def _tcp(rest: str, given: str, default_port: str) -> str:
    """`[user@]host[:port][/path]`, completed by `localhost` and the default port."""
    if rest.endswith("]:"):
        rest += default_port
    authority, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    authority = authority.rpartition("@")[2]
    if "://" in rest or _NOT_IN_HOST.search(authority):
        raise _bad_host(given, "that is no host name")
    bracketed = re.fullmatch(r"\[([^\]]+)\]:([^:]*)", authority)
    if bracketed:
        host, port = bracketed.groups()
    elif "[" in authority or "]" in authority:
        raise _bad_host(given, "an IPv6 address in brackets needs a port behind it")
    elif authority.count(":") > 1:
        host, port = authority, default_port
    else:
        host, _, port = authority.partition(":")
    port = port or default_port
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise _bad_host(given, "its port is not a number from 1 to 65535")
    host = host or "localhost"
    return f"tcp://{f'[{host}]' if ':' in host else host}:{port}{slash}{path}"


def masked(host: str) -> str:
    """A host without its password, which may hold any character, even @ and /."""
    scheme, separator, rest = host.rpartition("://") if host.count("://") == 1 else ("", "", host)
    user, at, server = rest.rpartition("@")
    if not at or (scheme == "ssh" and not re.search("[:%]", user)):
        return host  # ssh's user is no secret, and helps to find the fault
    return f"{scheme}{separator}***@{server}"


def _bad_host(given: str, why: str) -> UsageError:
    hint = "docker -H tcp://HOST:PORT, unix:///PATH or ssh://USER@HOST"
    return UsageError(f"{masked(given)!r} is not a docker host: {why}", hint)


def _of_context(name: str, origin: str, config: Path) -> EngineAddress:
    """A context of docker's store: `contexts/meta/<sha256 of the name>/meta.json` and `contexts/tls/<the same>`."""
    import hashlib

    if not _CONTEXT_NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a docker context ({origin})", "docker context ls")
    folder = hashlib.sha256(name.encode()).hexdigest()
    file = config / "contexts" / "meta" / folder / "meta.json"
    try:
        endpoints = fields(load(file).get("endpoints"))
        endpoint = fields(endpoints.get("docker"))
    except FileNotFoundError:
        raise UsageError(f"there is no docker context {name!r} ({origin})", "docker context ls") from None
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", f"ls -l {file}") from error
    except MalformedError as error:  # do not silently use another engine
        raise UsageError(f"cannot read {file}: {error}", f"python3 -m json.tool {file}") from error
    host = endpoint.get("host")
    if endpoints.get("docker") is None or not isinstance(host, str | None):
        raise UsageError(f"the docker context {name!r} names no docker engine", f"docker context inspect {name}")
    skip_verify = endpoint.get("skiptlsverify") is True
    pem = config / "contexts" / "tls" / folder / "docker"
    tls = os.path.isdir(pem) or skip_verify  # noqa: PTH112 - Path.is_dir raises in a folder that is closed to us
    address = _context_host(host or "", tls)
    if not address.startswith("tcp://") or not tls:
        return EngineAddress(address, origin, name)
    ca, cert, key = (
        path if os.path.isfile(path) else None  # noqa: PTH113
        for path in (str(pem / f"{part}.pem") for part in ("ca", "cert", "key"))
    )
    if not (cert and key):
        cert = key = None
    return EngineAddress(address, origin, name, True, not skip_verify, ca, cert, key)


def _context_host(host: str, tls: bool) -> str:
    """A stored host; a missing port is HTTP's, not docker's, as docker uses the host unchanged."""
    if not host:
        return DEFAULT_SOCKET
    if host.startswith("tcp://"):
        return _tcp(host.removeprefix("tcp://"), host, "443" if tls else "80")
    if "://" not in host:
        raise _bad_host(host, "a context's host needs a scheme")
    return parse_host(host)
