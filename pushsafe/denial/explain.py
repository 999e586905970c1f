"""Explains a pasted error of a push: the decisive line, its cause by words alone, and what to do next; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from pushsafe.denial.messages import Meaning, Undecided, is_dropped, is_too_large, meaning
from pushsafe.denial.reasons import pasted, too_large
from pushsafe.denial.tls_advice import tls_advice
from pushsafe.known_registries import HUB_HOSTS, TOKENS, creation_command, known, login_command, reach_command
from pushsafe.model.inquiry import UNCLEAR, Explanation
from pushsafe.model.verdicts import DenialReason, FailureKind
from pushsafe.oci.reference import DEFAULT_REGISTRY
from pushsafe.runtime.redact import clean, seen

LIMIT = 64 * 1024
"""How many characters of a text are read, from its end."""
_LONGEST_LINE = 4096


class _Found(NamedTuple):
    line: int
    meaning: Meaning


class _Place(NamedTuple):
    """The destination of a push, as far as the text shows it; parts may be empty."""

    registry: str = ""
    repository: str = ""
    tag: str = ""

    @property
    def name(self) -> str:
        return "/".join(filter(None, (self.registry, self.repository))) if self.repository else ""

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.tag}" if self.name and self.tag else self.name or "REF"


def explain(text: str) -> Explanation:
    """Explain the output of docker, buildx, podman, skopeo, crane, kaniko or of a CI job that ran one of them."""
    lines = tuple(_lines(text[-LIMIT:]))
    found = _deciding(lines)
    place = _place(lines, found.line if found else len(lines) - 1)
    if found is None:
        return _without_error(lines, place)
    summary, commands = _saying(found.meaning, place, lines[found.line])
    if found.meaning is FailureKind.REGISTRY_ERROR and is_too_large(lines[found.line]):
        commands = (too_large(place.registry or "the registry"),)
    return Explanation(pasted(found.meaning).cause, _shown(lines[found.line]), place.name, summary, commands)


# colors, cursor movements and titles (ECMA-48), as copied from a terminal or recorded by `script`
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_]?)")
# prefixes of CI jobs and builders: a time, a severity, a step's number
_PREFIX = re.compile(
    r"^(?:\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?\s+|##\[\w+\]|::\w+::|#\d+\s+(?:[\d.]+\s+)?)+"
)
# layer states, attempts before others, step names: they do not say how it ended
_PASSING = re.compile(
    r"^[0-9a-f]{12}: |\bretrying\b|\bretry(?:ing)? in \d|attempting next endpoint|will retry|^(?:-{4,}|(?:=>|>) )"
    r"|^(?:DEBU|DEBUG|TRAC|INFO)\b|\blevel=(?:debug|trace|info)\b",
    re.IGNORECASE,
)
_WRAPPER = re.compile(
    r"\bexit (?:status|code)|exited with|return(?:ed)? (?:exit )?code|process completed|job failed"
    r"|terminated with|^make(?:\[\d+\])?: ",
    re.IGNORECASE,
)
_ERROR = re.compile(
    r"\b(?:err(?:or)?|fail(?:ed|ure|s)?|fatal|can ?not|could not|unable|invalid|unexpected|bad)\b", re.I
)
_PUSH_BEGINS = re.compile(
    r"the push refers to (?:a )?repository \[|\bpushing layers\b|^exporting to image|^getting image source signatures",
    re.IGNORECASE,
)
# prefixes of failed logins, in output of builds and tests that may mention logins too
_LOGIN = re.compile(
    r"error response from daemon|\b(?:unauthorized|denied): |an error occurred \(|aadsts|aws configure", re.I
)
_SUCCESS = re.compile(
    r"^\S+: digest: sha256:[0-9a-f]{64} size: \d+|^login succeeded|^pushed:? \S+|pushing manifest for \S+ .*done$"
    r"|^writing manifest to image destination|^storing signatures"
    r"|^(?:index\.docker\.io|[\w-]{1,63}(?:\.[\w-]{1,63}){1,20}(?::\d+)?)/\S+@sha256:[0-9a-f]{64}$",
    re.IGNORECASE,
)


def _lines(text: str) -> Iterator[str]:
    for line in re.split(r"[\r\n\v\f\u0085\u2028\u2029]+", _ANSI.sub("", text)):
        bare = _PREFIX.sub("", line.strip()).strip()
        if bare:
            yield bare[:_LONGEST_LINE]
        if len(bare) > _LONGEST_LINE:
            yield bare[-_LONGEST_LINE:]


def _deciding(lines: tuple[str, ...]) -> _Found | None:
    """The last line with a single meaning; else the last that only says that something was refused.

    Lines before the last push began count only if nothing after shows how that push ended. A failed login before a
    refused push always counts, because it explains the refusal.
    """
    begin = _last_line(_PUSH_BEGINS, lines) or 0
    success = _last_line(_SUCCESS, lines)
    found = _last(lines, range(begin, len(lines)))
    if found is not None and found.meaning is not Undecided.REFUSAL:
        return found
    earlier = _last(lines, range(begin))
    if found is not None:
        login = earlier is not None and isinstance(earlier.meaning, DenialReason) and _LOGIN.search(lines[earlier.line])
        return earlier if login else found
    unknown = _unknown(lines)
    if earlier is not None and max(-1 if success is None else success, unknown.line if unknown else -1) < begin:
        return earlier
    return unknown if unknown and (success is None or success < unknown.line) else None


def _last_line(pattern: re.Pattern[str], lines: tuple[str, ...]) -> int | None:
    return next((at for at in reversed(range(len(lines))) if pattern.search(lines[at])), None)


def _last(lines: tuple[str, ...], where: range) -> _Found | None:
    refusal = passing = None
    for at in reversed(where):
        means = meaning(lines[at])
        if means is Undecided.UNKNOWN:
            continue
        if _PASSING.search(lines[at]):
            passing = passing or _Found(at, means)
        elif means is not Undecided.REFUSAL:
            return _Found(at, means)
        else:
            refusal = refusal or _Found(at, means)
    return refusal or passing


def _unknown(lines: tuple[str, ...]) -> _Found | None:
    """The last line that reports an error of unknown meaning; a text of one line is taken for one."""
    telling = [at for at, line in enumerate(lines) if not (_PASSING.search(line) or _WRAPPER.search(line))]
    errors = [at for at in telling if _ERROR.search(lines[at]) or is_dropped(lines[at])]
    chosen = errors or (telling if len(lines) == 1 else [])
    return _Found(chosen[-1], Undecided.UNKNOWN) if chosen else None


def _without_error(lines: tuple[str, ...], place: _Place) -> Explanation:
    success = _last_line(_SUCCESS, lines)
    if success is not None:
        return Explanation(
            UNCLEAR, _shown(lines[success]), place.name, "This ends in a success: there is no error in it."
        )
    summary = "No line of this reports an error." if lines else "There is no text to explain."
    diagnose = f"docker pushsafe diagnose {place.reference}"
    return Explanation(UNCLEAR, _shown(lines[-1]) if lines else "", place.name, summary, (diagnose,))


_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE if "(?-i:" not in pattern else 0), replacement)
    for pattern, replacement in (
        # headers, as curl, a Go map or JSON show them; the rest of the line may belong to the value
        (
            r"((?:proxy-)?authorization|x-registry-auth|(?:set-)?cookie|private-token|job-token|x-api-key|x-jfrog-art-api)"
            r"(\\?[\"']?\s*[:=]\s*).*",
            r"\1\2***",
        ),
        (r"\b(basic|bearer)(\s+)(?!(?:realm|token|auth\w*|challenge)\b)[^\s\"',;]{4,}", r"\1\2***"),
        # user:password@host, but no digest of a reference
        (r"://[^\s/@\"']+@", "://***@"),
        (r"://[^\s/@:\"']+:(?!\d+/)[^\s@\"']*@(?!sha\d+:)", "://***@"),  # a password with a / in it, but no port
        (r"(?<![\w./@-])[\w.+-]+:[^\s/@:\"']+@(?!sha\d+:)(?=[\w.-]+)", "***@"),
        # options of login commands
        (
            r"(\s--?(?:p|pass(?:word)?|token|registry-token|(?:src-|dest-)?creds|(?:src-|dest-)?password)[ =]+)\S+",
            r"\1***",
        ),
        # fields of queries, environments and JSON
        (
            r"((?<![\w.-])[\w.-]*(?:pass(?:word|wd)|secret|token|signature|credentials?|api[_-]?key|\bsig|\bauth)\\?[\"']?"
            r"(?:\s*=\s*|(?<=[\"'])\s*:\s*(?=\\?[\"']))\\?[\"']?)[^\s\"'&,;}\\]+",
            r"\1***",
        ),
        (r"^(\s*password:\s*).+", r"\1***"),
        (rf"(?-i:\b(?:{TOKENS})[\w.-]{{6,}})", "***"),
        # JSON in base64, AWS, Quay's robots
        (r"(?-i:\beyJ[\w+/.=-]{8,})", "***"),
        (r"(?-i:\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b|\b[A-Z0-9]{64}\b)", "***"),
        # any other long random text; a digest is hexadecimal and of one case
        (r"(?-i:(?<![\w+-])(?=[\w+-]*[a-z])(?=[\w+-]*[A-Z])(?=[\w+-]*[0-9])[\w+-]{40,}={0,2})", "***"),
    )
)


def _masked(text: str) -> str:
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _shown(line: str) -> str:
    return clean(_masked(seen(line)))


_HOST = r"(?P<host>(?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+(?::\d{1,5})?)"
_NAME = r"(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
_REF = r"[\"'\[]?(?P<ref>[A-Za-z0-9][A-Za-z0-9._:/-]*)"
_END = r"(?=@sha256:|[\]\"',;]|:?\s|:?$)"
# lines about this push come before those about a pull; a login names only its host
_PLACES = tuple(
    re.compile(pattern, re.IGNORECASE if "(?P<ref>" in pattern else 0)
    for pattern in (
        rf"the push refers to (?:a )?repository {_REF}{_END}",
        rf"failed to push (?:to destination |image )?{_REF}{_END}",
        rf"(?:push access denied for|checking push permission for|uploading manifest \S+ to) {_REF}{_END}",
        rf"\bpushing (?:manifest for )?{_REF}(?=@sha256:| with docker)",
        rf"(?:docker(?: image)?|podman|buildah|nerdctl) push (?:-\S+ )*{_REF}{_END}",
        rf"docker://{_REF}{_END}(?!.*docker://)",
        rf"(?:tag does not exist|locally with the tag|no tags to push for|no such image):? {_REF}{_END}",
        rf"\[auth\] {_NAME}:\S*push\S* token for {_HOST}(?![\w.])",
        rf"layer upload to /v2/{_NAME}/blobs/uploads/ in {_HOST}(?![\w.])",
        rf"https?://(?:[^/@\s]*@)?{_HOST}/v2/{_NAME}/(?:blobs|manifests)/",
        rf"https?://(?:[^/@\s]*@)?{_HOST}/\S*[?&]scope=repository(?::|%3[Aa]){_NAME.replace('/', '/%2F')}(?::|%3[Aa])",
        rf"\bscope=\\?\"?repository:{_NAME}:",
        rf"unauthorized to access repository: {_NAME}, ",
        rf"https?://(?:[^/@\s]*@)?{_HOST}/v[12]/",
        rf"pinging container registry {_HOST}(?![\w.])",
    )
)


def _place(lines: tuple[str, ...], at: int) -> _Place:
    """The best match nearest to the decisive line: before it or in it, else after it."""
    near = (*reversed(lines[: at + 1]), *lines[at + 1 :])
    places = [place for within in (near[:1], near) for place in _places(within)]
    whole = next((place for place in places if place.registry and place.repository), None)
    if whole is not None:
        return whole
    registry = next((place.registry for place in places if place.registry), "")
    return _Place(registry, next((place.repository for place in places if place.repository), ""))


def _places(lines: tuple[str, ...]) -> Iterator[_Place]:
    for pattern in _PLACES:
        for line in lines:
            if match := pattern.search(line):
                yield _read(match)


def _read(match: re.Match[str]) -> _Place:
    groups = match.groupdict()
    if "ref" in groups:
        place = _split(groups["ref"].rstrip(".:/"))
    else:
        name = (groups.get("name") or "").replace("%2F", "/").replace("%2f", "/")
        host = groups.get("host") or ""
        service = re.search(r"[?&]service=([\w-]+(?:\.[\w-]+)+(?::\d+)?)", match.string)
        place = _Place(service.group(1) if service and name and "scope=" in match.group() else host, name)
    if place.registry in HUB_HOSTS:
        place = place._replace(registry=DEFAULT_REGISTRY)
    text = place.reference
    return place if _masked(text) == text else _Place()


def _split(reference: str) -> _Place:
    """docker's rule: the text before the first slash is a registry if it can be a host's name."""
    first, slash, rest = reference.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    registry, path = (first, rest) if is_host else (DEFAULT_REGISTRY, reference)
    path, _, tag = path.partition(":")
    return _Place(registry, path if "/" in path or registry != DEFAULT_REGISTRY else f"library/{path}", tag)


_LONGEST_LINE = 8 * 1024  # the ones to search for a path
# Go's `dial unix PATH: connect: permission denied`, and a file's
_SOCKET = re.compile(
    r"(?:unix://|dial unix )(/[\w./-]{1,4096}).*permission denied|permission denied.*unix://(/[\w./-]{1,4096})", re.I
)
_FILE = re.compile(
    r"(?<![\w./@+~-])(/[\w./@+~-]{1,4096})[\"'\u2019]?: (?:permission denied|operation not permitted|read-only)", re.I
)


def _saying(found: Meaning, place: _Place, line: str) -> tuple[str, tuple[str, ...]]:
    registry, repository = place.registry, place.repository
    reach = reach_command(registry or "REGISTRY")
    if found is FailureKind.LOCAL and (special := _of_this_machine(line)):
        return special
    if found in (FailureKind.NETWORK, Undecided.UNKNOWN) and is_dropped(line):
        summary = (
            "The connection broke off on the way, at the registry or at a proxy in front of it, and these words do not "
            "say why: a restart, a limit of size or time, or a server that speaks another protocol."
        )
        return summary, ("push again: docker pushsafe tries again by itself   (--retries)", reach)
    create = creation_command(registry, repository) if registry and repository else ""
    tls = tls_advice(line, registry)
    fields = {
        "reference": place.reference,
        "registry": registry or "The registry",
        "reach": reach,
        "login": login_command(registry or "REGISTRY"),
        "right": known(registry).right,
        "create": create or "create the repository, or its project, at the registry first, then push again",
        "tls": tls.said,
        "trust": tls.next,
    }
    _, said, commands = pasted(found)
    return said.format_map(fields), tuple(template.format_map(fields) for template in commands)


def _of_this_machine(line: str) -> tuple[str, tuple[str, ...]] | None:
    """The explanation for a file or socket that the user may not open."""
    line = line[:_LONGEST_LINE]
    if socket := _SOCKET.search(line):
        summary = "This user may not access the engine: its socket is closed to them. The registry is not involved."
        path = clean(socket.group(1) or socket.group(2))
        return summary, (f"ls -l {path}", 'sudo usermod -aG docker "$USER"   (then log in to this machine again)')
    if file := _FILE.search(line):
        summary = "This user may not read or write a file or folder on this machine. The registry is not involved."
        return summary, (f"ls -ld {clean(file.group(1))}; id",)
    return None
