"""Engines, registries, token servers and helpers that echo every secret they were sent, in every field there is."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote_plus

from tests.fakes.capture import FakeEngine, FakeImage, Refusal
from tests.fakes.registry import (
    OCI_INDEX,
    Answer,
    Manifest,
    Request,
    Rule,
    basic_header,
    guarded,
    jwt,
    manifests,
    on,
    ping,
    redirect,
    uploads,
    wants_basic,
    wants_bearer,
)

PASSWORD = "pA55-w0rd~Secret/Zq+9&end"
IDENTITY = "identity-0paque/Yx81+&Vbn"
OPAQUE = "opaque-b3arer-Kk92-Ll34"
JWT = jwt("acme/app", "pull", jti="n0t-to-be-seen")
BASIC = basic_header("ada", PASSWORD)
AUTH_HEADER = base64.urlsafe_b64encode(json.dumps({"username": "ada", "password": PASSWORD}).encode()).decode()
IDENTITY_FORM = quote_plus(IDENTITY)

SECRETS = (PASSWORD, IDENTITY, OPAQUE, JWT, BASIC.removeprefix("Basic "), AUTH_HEADER, IDENTITY_FORM)
# A cut must not show what a mask would have hidden: the two ends of each secret may not be seen either.
FORBIDDEN = tuple(dict.fromkeys(part for secret in SECRETS for part in (secret[:10], secret[-10:])))

# ESC and CSI, its 8-bit form, OSC with BEL, carriage return, backspace, bidi override, zero-width, DEL.
CONTROLS = "\x1b[66;66H\x9b66m\x1b]0;pwned\x07\r\x08\u202e\u200b\u2066\ufeff\x7f"


def wrapped(secret: str) -> str:
    """As a server quotes a header of several lines."""
    return "\r\n ".join(secret[at : at + 9] for at in range(0, len(secret), 9))


def echo(*secrets: str) -> str:
    return f"E {CONTROLS}" + " ".join(f"<{secret}>" for secret in secrets)


# What an engine knows of one push, and a registry once it has given a token. Last, a secret that is strewn with
# zero-width characters, which go, and so would leave it whole.
ENGINE = echo(PASSWORD, BASIC, AUTH_HEADER, f"Bearer {OPAQUE}", JWT, wrapped(PASSWORD), "\u200b".join(PASSWORD))
REGISTRY = echo(PASSWORD, BASIC, JWT, wrapped(PASSWORD), wrapped(BASIC))
TOKENED = echo(PASSWORD, BASIC, JWT, OPAQUE, wrapped(PASSWORD), wrapped(OPAQUE))
TOKENED_IDENTITY = echo(IDENTITY, IDENTITY_FORM, OPAQUE)
SHAPES = echo(BASIC, f"Bearer {OPAQUE}", JWT, AUTH_HEADER)
LONG = "x" * 285 + PASSWORD + "y" * 190 + PASSWORD


def in_header(text: str) -> str:
    """As a header can hold it."""
    return text.encode("latin-1", "ignore").decode("latin-1").translate(dict.fromkeys(map(ord, '\r\n"')))


HEADER = in_header(REGISTRY)


def error(text: str = REGISTRY, status: int = 403, code: str = "") -> Answer:
    body = {"errors": [{"code": code or text, "message": text, text: text}], text: text}
    return Answer(status, body, reason=in_header(text))


# --------------------------------------------------------------------------- the scenarios


@dataclass(frozen=True)
class Scenario:
    """Who answers what to `docker pushsafe WORDS HOST/acme/app:TAG`, and the exit code that it takes.

    `host` is a registry that is none of ours, `files` are below the home, and `paste` is standard input, beside which
    there is no reference.
    """

    code: int
    engine: Callable[[str], FakeEngine]
    registry: Sequence[Rule]
    auth: Mapping[str, str] = field(default_factory=lambda: {"username": "ada", "password": PASSWORD})
    helper: str = ""
    args: tuple[str, ...] = ()
    prelude: str = ""
    words: tuple[str, ...] = ("--no-preflight",)
    host: str = ""
    tag: str = "1"
    files: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    paste: str = ""


def engine(
    push: Any = None, images: Any = None, distribution: Any = None, **options: Any
) -> Callable[[str], FakeEngine]:
    images = images or {"": FakeImage(digest=ONE.digest)}

    def build(name: str) -> FakeEngine:
        scripts = {} if push is None else {name: push}
        named = {name + suffix: image for suffix, image in images.items()}
        asked = {} if distribution is None else {name: distribution}
        return FakeEngine(named, push=scripts, distribution=asked, **options)

    return build


def denies(text: str = ENGINE) -> Callable[[str], FakeEngine]:
    status = {"status": text, "id": text, "progress": text, "progressDetail": {"current": text, text: text}}
    message = f"denied: {text}"
    layer = {"status": "Pushing", "id": text[:30], "progressDetail": {"current": 1, "total": 2}}
    return engine([status, layer, {"aux": {text: text}}, {"errorDetail": {"message": message}, "error": message}])


def bearer(
    token: str, said: str = REGISTRY, *, answer: Answer | None = None, nobodys: Answer | None = None
) -> list[Rule]:
    """A token server that gives `token` or `answer`, and a registry behind it that refuses every upload.

    Nobody is refused, or is given `nobodys`.
    """
    known = quote_plus(IDENTITY if said is TOKENED_IDENTITY else PASSWORD)
    challenge = f'Bearer realm="$BASE/token?x={known}",service="{in_header(said)}",error="{in_header(said)}"'
    given = answer or Answer(200, {"token": token, said: said})

    def give(request: Request) -> Answer:
        return given if request.authorization or request.body else nobodys or error(said, 401)

    behind = guarded(wants_bearer(token, challenge=challenge), ping(), on("POST", UPLOADS, error(said)))
    return [*behind, on("GET|POST", "/token", give)]


def basic(*rules: Rule | list[Rule]) -> list[Rule]:
    return guarded(wants_basic("ada", PASSWORD, f'Basic realm="{HEADER}"'), ping(), *rules)


ONE = Manifest({"schemaVersion": 2, "layers": []})
STORE = manifests("acme/app", {"1": ONE})
UPLOADS = "/v2/.+/blobs/uploads/"
REFUSE = on("POST", UPLOADS, error())
CHALLENGES = error().having(WWW_Authenticate=f'Bearer realm="https://x/{HEADER}",error="{HEADER}"')
FOREIGN = Answer(202).having(Location=f"http://127.0.0.1:1/{HEADER}")
NO_TAG = on("HEAD|GET", "/v2/.+/manifests/1", Answer(404, REGISTRY))
STARTED = Answer(202).having(Location=f"/v2/acme/app/blobs/uploads/1?{quote_plus(REGISTRY)}")
OPEN = [ping(), *STORE]
HELPER = f"""#!/bin/sh
echo '{{"ServerURL": "x", "Username": "ada", "Secret": "{PASSWORD}" '
exit 1
"""
EXPLODE = """
import pushsafe.push.verify as d
def explode(self, fact, *_):
    secret = fact.credential.secret.reveal()
    raise ValueError("bug " + secret) from KeyError(secret)
d.TagVerifier.read_back = explode
"""

SCENARIOS: dict[str, Scenario] = {
    "Basic, denied": Scenario(5, denies(), basic(REFUSE)),
    "Basic, denied with a challenge": Scenario(5, denies(), basic(on("POST", UPLOADS, CHALLENGES))),
    "Basic, rejected": Scenario(4, denies(), [ping(Answer(401).having(WWW_Authenticate="Basic")), ping(error())]),
    "Bearer, opaque": Scenario(5, denies(), bearer(OPAQUE, TOKENED)),
    "Bearer, for anybody": Scenario(
        6, denies(), bearer(OPAQUE, TOKENED, nobodys=Answer(200, {"token": OPAQUE, TOKENED: TOKENED}))
    ),
    "Bearer, JWT": Scenario(5, denies(), bearer(JWT)),
    "Bearer, token refused": Scenario(4, denies(), bearer(OPAQUE, answer=error(echo(PASSWORD, BASIC, JWT), 401))),
    "Bearer, an identity token": Scenario(
        5,
        denies(echo(IDENTITY, IDENTITY_FORM)),
        bearer(OPAQUE, TOKENED_IDENTITY),
        auth={"identitytoken": IDENTITY, "auth": base64.b64encode(b"ada:").decode()},
    ),
    "a message that is cut": Scenario(5, denies(LONG), basic(on("POST", UPLOADS, error(LONG)))),
    "text that is cut": Scenario(5, denies(LONG), basic(on("POST", UPLOADS, Answer(403, LONG)))),
    "an upload elsewhere": Scenario(7, denies(), basic(on("POST", UPLOADS, FOREIGN))),
    "a redirect": Scenario(6, denies(), basic(on("POST", UPLOADS, redirect(f"http://x/{HEADER}")))),
    "the engine refuses the push": Scenario(7, engine(Refusal(500, ENGINE)), basic(uploads(), NO_TAG)),
    "the engine does not speak JSON": Scenario(7, engine([ENGINE + "\n"]), basic(uploads(), NO_TAG)),
    "pushed, and something else is there": Scenario(
        8,
        engine(),
        basic(
            on(
                "HEAD|GET",
                ".*/manifests/.*",
                Answer(200, {"schemaVersion": 2, "mediaType": REGISTRY, REGISTRY: REGISTRY}).having(
                    Content_Type=HEADER, Docker_Content_Digest=HEADER
                ),
            )
        ),
        environ={"PUSHSAFE_VERIFY_TIMEOUT": "0"},
    ),
    "pushed, and a page is there": Scenario(
        8,
        engine(distribution=Refusal(403, ENGINE)),
        basic(on("HEAD|GET", ".*/manifests/.*", Answer(200, REGISTRY).having(Content_Type=HEADER))),
    ),
    "pushed, and not to be read": Scenario(
        8,
        engine(distribution=Refusal(403, ENGINE)),
        basic(on("HEAD|GET", ".*/manifests/.*", error())),
    ),
    "verified": Scenario(0, engine(), basic(STORE), args=("--digest-file", "digests")),
    "a helper that fails": Scenario(1, engine(), basic(), helper=HELPER),
    "a bug": Scenario(70, engine(), basic(STORE), prelude=EXPLODE),
    # Before the push an engine has been told nothing: what it can echo then are shapes, and control characters.
    "an engine that fails": Scenario(7, engine(errors={"GET /info": Refusal(500, SHAPES)}), OPEN),
    "an engine that refuses": Scenario(7, engine(errors={"GET /_ping": Refusal(500, SHAPES)}), OPEN),
    "an engine's near misses": Scenario(
        1, engine(images={f"-{CONTROLS}": FakeImage(), f"x{CONTROLS}/app:1": FakeImage(id="sha256:" + "b" * 64)}), OPEN
    ),
    "an engine's image": Scenario(
        0,
        engine(
            images={
                "": FakeImage(
                    id=CONTROLS,
                    digest=ONE.digest,
                    os=f"linux{CONTROLS}",
                    architecture=CONTROLS,
                    repo_digests=(f"x{CONTROLS}/y@sha256:{CONTROLS}",),
                )
            },
            info={"ServerVersion": CONTROLS, "OSType": CONTROLS, "Architecture": CONTROLS},
        ),
        OPEN,
    ),
    "an engine's tags": Scenario(
        0, engine(images={"": FakeImage(digest=ONE.digest), CONTROLS: FakeImage(id="sha256:" + "c" * 64)}), OPEN,
        args=("--all-tags",),
    ),
}  # fmt: skip

# --------------------------------------------------------------------------- before the push, and without one

REFUSALS = {
    "Basic, denied": 5,
    "Basic, denied with a challenge": 5,
    "Basic, rejected": 4,
    "Bearer, opaque": 5,
    "Bearer, JWT": 5,
    "Bearer, token refused": 4,
    "Bearer, an identity token": 5,
    "a message that is cut": 5,
    "text that is cut": 5,
}
"""Refused before the push already, and so with the same exit code whoever asks."""

UNREADABLE = on("HEAD|GET", ".*/manifests/.*", error())


def unreadable(name: str) -> Rule:
    """It echoes what it was told: the password of a login with one."""
    told = REGISTRY if "password" in SCENARIOS[name].auth else TOKENED_IDENTITY
    return on("HEAD|GET", ".*/manifests/.*", error(told))


SCENARIOS |= {
    f"{' '.join(words) or 'preflight'}: {name}": replace(
        SCENARIOS[name],
        code=code,
        words=words,
        engine=engine(),
        registry=[*SCENARIOS[name].registry, *([unreadable(name)] if words == ("diagnose",) else [])],
    )
    for words in ((), ("lint",), ("diagnose",))
    for name, code in REFUSALS.items()
}


def accepting(*rules: Rule | list[Rule]) -> list[Rule]:
    """An upload is started, and its cancelling refused."""
    return basic(on("POST", UPLOADS, STARTED), on("DELETE", f"{UPLOADS}1", error()), *rules)


VERSION = "org.opencontainers.image.version"
CONFIG = "sha256:" + "e" * 64
OTHER = Manifest({"schemaVersion": 2, "config": {"digest": CONFIG, "size": 2}, "layers": []})
HOSTILE = Manifest({"schemaVersion": 2, "config": {"digest": "sha256:x/../" + REGISTRY}, "layers": []}, HEADER, HEADER)
INDEX = Manifest(
    {
        "schemaVersion": 2,
        "manifests": [
            {"digest": REGISTRY, "platform": {"os": f"linux{CONTROLS}", "architecture": PASSWORD, "variant": BASIC}},
            {"digest": ONE.digest, "platform": {"os": "linux", "architecture": "amd64", "os.version": REGISTRY}},
            {"digest": ONE.digest, "platform": {"os": "linux", "architecture": "amd64"}},
            {"digest": OTHER.digest, "platform": {"os": "linux", "architecture": "arm64"}},
        ],
    },
    OCI_INDEX,
)
OLD = FakeImage(digest=ONE.digest, inspect={"Config": {"Labels": {VERSION: "1.0.0"}}})


def held(manifest: Manifest, version: str, tags: Sequence[str]) -> list[Rule]:
    """The tag names `manifest`, whose image says that it has this version, as the list of tags may say, too."""
    config = {
        "os": f"linux{CONTROLS}",
        "architecture": PASSWORD,
        "config": {"Labels": {VERSION: version, REGISTRY: REGISTRY}},
    }
    body = json.dumps(config).encode()
    if manifest is OTHER:  # its config must be what it says
        named = {"digest": f"sha256:{hashlib.sha256(body).hexdigest()}", "size": len(body)}
        manifest = replace(OTHER, content={**OTHER.content, "config": named})
    also = {"[^:]+": manifest}  # whatever tag is asked for
    return accepting(
        on("GET", "/v2/acme/app/tags/list", Answer(200, {"name": REGISTRY, "tags": [*tags, REGISTRY, {REGISTRY: 1}]})),
        on("GET", "/v2/acme/app/blobs/.+", Answer(200, body)),
        manifests("acme/app", also),
    )


IMMUTABLE = {"PUSHSAFE_IMMUTABLE_TAGS": "1"}
NEWER = f"9.9.9+{BASIC.removeprefix('Basic ').rstrip('=')}"  # a version to `packaging`
PLAIN_REALM = f'Bearer realm="http://192.0.2.1/{HEADER}",service="{HEADER}"'
NOWHERE = "registry.invalid"
ESCAPED = "".join(f"\\u{ord(char):04x}" for char in CONTROLS)

SCENARIOS |= {
    f"{word}: {name}": replace(scenario, words=(word,))
    for word in ("lint", "diagnose")
    for name, scenario in {
        "accepted": Scenario(0, engine(), accepting(manifests("acme/app", {}))),
        "a version": Scenario(
            0, engine(images={"": OLD}), held(OTHER, f"9.9.9 {REGISTRY}", [NEWER, "9.9.9"]), tag="latest"
        ),
        "a label": Scenario(0, engine(images={"": OLD}), held(OTHER, NEWER, [REGISTRY]), tag="latest"),
        "a hostile manifest": Scenario(1, engine(), held(HOSTILE, REGISTRY, []), environ=IMMUTABLE),
        "an index": Scenario(1, engine(), held(INDEX, REGISTRY, [])),
        "a tag that is not told": Scenario(1, engine(), accepting(UNREADABLE), environ=IMMUTABLE),
        "a realm in clear": Scenario(1, engine(), guarded(wants_bearer("x", challenge=PLAIN_REALM), ping())),
    }.items()
}
SCENARIOS |= {
    f"certs.d: {' '.join(words) or 'preflight'}": Scenario(
        code,
        engine(Refusal(500, ENGINE), auth=Refusal(500, ENGINE), distribution=Refusal(500, ENGINE)),
        [],
        words=words,
        host=NOWHERE,
        files={f".config/docker/certs.d/{NOWHERE}/{CONTROLS.replace('/', '')}.cert": ""},
    )
    for words, code in (((), 7), (("lint",), 0), (("diagnose",), 0))
}
SCENARIOS |= {
    f"{name}: {' '.join(words) or 'push'}": Scenario(2, engine(), [], words=words, environ=environ, files=files)
    for words in ((), ("lint",), ("diagnose",))
    for name, environ, files in (
        ("a bad variable", {"PUSHSAFE_TIMEOUT": CONTROLS}, {}),
        ("an unknown variable", {f"PUSHSAFE_{CONTROLS}": "1"}, {}),
        ("a bad file", {}, {"cwd/.pushsafe.toml": f'moving-tags = ["{ESCAPED}"]'}),
        ("a file that is none", {}, {"cwd/.pushsafe.toml": CONTROLS}),
    )
}
SCENARIOS |= {
    f"out of time: {' '.join(words)}": Scenario(
        3, engine(), basic(on("POST", UPLOADS, replace(error(), delay=30))), words=(*words, "--timeout", "1.5")
    )
    for words in (("--preflight",), ("lint",), ("diagnose",))
}
# What a line of text can hold, and whose shape or place tells that it is a secret.
PASTED = f"\x9b66m\u202e\u200b\x7f <{BASIC}> Bearer {OPAQUE} <{JWT}> <{AUTH_HEADER}> token={OPAQUE} https://ada:{quote_plus(IDENTITY)}@r.io/x"
SCENARIOS |= {
    f"explain-error: {name}": Scenario(0, engine(), [], words=("explain-error", "-"), paste=text)
    for name, text in {
        "a refusal": f"denied: requested access to the resource is denied {PASTED}",
        "nothing known": f"error: {PASTED}\n{SHAPES}",
        "a place": f"The push refers to repository [x/{PASTED}]\nunauthorized: {PASTED}",
        "a login": f"docker login {PASTED}\nError response from daemon: Get {PASTED}: unauthorized: {PASTED}",
        "no error": PASTED,
        "control characters": f"denied: {SHAPES}",
    }.items()
}

SAYS = {
    "preflight: Basic, denied": "no-write-permission",
    "preflight: Bearer, token refused": "credential-rejected",
    "lint: Bearer, JWT": "grants pull",
    "lint: a version": "PS402",
    "lint: a label": "(version 9.9.9+***)",
    "lint: a hostile manifest": "error PS401",
    "lint: an index": "error PS205",
    "lint: a tag that is not told": "could not check whether it exists: the registry answers 403",
    "lint: a realm in clear": "PS304",
    "diagnose: accepted": "✓ push probe",
    "diagnose: an index": "✗ tag now",
    "diagnose: a realm in clear": "✗ challenge",
    "certs.d: lint": "missing key [66;66H",
    "certs.d: diagnose": "? login (engine)  500; E [66;66H",
    "a bad file: push": "matches no tag",
    "a bad variable: diagnose": "PUSHSAFE_TIMEOUT",
    "out of time: lint": "the time for the whole run was over",
    "explain-error: a refusal": "Bearer *** <***>",
    "explain-error: a login": "https://***@r.io/x",
}
"""That those say what they are there for, for a person."""
