"""A registry of the OCI distribution specification 1.1 on the loopback interface, its content in a folder."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, quote

from pushsafe.demo.registry.http import Answer, Handler, Refused, Server, json_answer
from pushsafe.demo.registry.storage import Repository, Upload, parsed, place
from pushsafe.demo.registry.tokens import Account, Tokens, basic_login, granted

__all__ = ["Account", "EmbeddedRegistry"]

MANIFEST_LIMIT = 4 * 1024 * 1024
FORM_LIMIT = 64 * 1024
TOKEN_SECONDS = 300
REFRESH_SECONDS = 24 * 3600
OCI_INDEX = "application/vnd.oci.image.index.v1+json"

PATH = re.compile(r"/v2/(?P<name>.+)/(?P<kind>blobs/uploads|blobs|manifests|tags|referrers)/(?P<reference>[^/]*)")
METHODS = {
    "blobs": "GET, HEAD, DELETE",
    "blobs/uploads": "GET, POST, PUT, PATCH, DELETE",
    "manifests": "GET, HEAD, PUT, DELETE",
    "tags": "GET, HEAD",
    "referrers": "GET, HEAD",
}
ACTIONS = {"GET": ("pull",), "HEAD": ("pull",), "DELETE": ("delete",)}
"""What a token must allow; for every other method, and all about uploads, pull and push."""


class RegistryHandler(Handler):
    """The end points; what a client may do there is said by its token."""

    server: _Server

    def _may(self, name: str, *actions: str) -> bool:
        if not self.server.registry.accounts:
            return True
        claims = self._claims()
        entries = claims["access"] if claims else []
        allowed = {action for entry in entries if entry["name"] == name for action in entry["actions"]}
        return claims is not None and allowed.issuperset(actions)

    def _claims(self) -> dict[str, Any] | None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        registry = self.server.registry
        return registry.tokens.claims(token.strip(), registry.host) if scheme.lower() == "bearer" else None

    def _require(self, wanted: Mapping[str, Collection[str]]) -> None:
        """A challenge as distribution words it, unless the token allows the actions that are `wanted`, by repository;
        of none there has to be a token."""
        if all(self._may(name, *actions) for name, actions in (wanted or {"": ()}).items()):
            return
        host = self.server.registry.host
        challenge = f'Bearer realm="http://{host}/token",service="{host}"'
        scope = " ".join(f"repository:{name}:{','.join(actions)}" for name, actions in wanted.items())
        challenge += f',scope="{scope}"' if scope else ""
        if "Authorization" in self.headers:
            challenge += f',error="{"insufficient_scope" if self._claims() else "invalid_token"}"'
        raise Refused(401, "UNAUTHORIZED", WWW_Authenticate=challenge)

    def _token(self, body: Iterator[bytes]) -> Answer:
        """Docker's token server: GET with Basic, or POST with an OAuth 2 grant (distribution docs/spec/auth)."""
        tokens, host = self.server.registry.tokens, self.server.registry.host
        posted = self.command == "POST"
        form = parse_qs(self.whole(body, FORM_LIMIT).decode(errors="replace")) if posted else self.query
        asked = {name: values[-1] for name, values in form.items()}
        account: Account | None = None  # nobody gets a token too, which grants nothing
        if posted and asked.get("grant_type") == "password":
            account = tokens.account(f"{asked.get('username', '')}:{asked.get('password', '')}".encode())
        elif posted and asked.get("grant_type") == "refresh_token":
            account = tokens.refreshed(asked.get("refresh_token", ""))
        elif posted:
            raise Refused(400, "UNSUPPORTED", "unsupported grant_type")
        elif login := self.headers.get("Authorization", ""):
            account = tokens.account(basic_login(login))
        access = granted(account, form.get("scope", []))
        token = tokens.signed(host, account.name if account else "", TOKEN_SECONDS, access=access)
        answer = {"token": token, "access_token": token, "expires_in": TOKEN_SECONDS}
        if account and (asked.get("offline_token") == "true" or asked.get("access_type") == "offline"):
            answer["refresh_token"] = tokens.signed("refresh", account.name, REFRESH_SECONDS)
        scope = " ".join(f"repository:{one['name']}:{','.join(one['actions'])}" for one in access)
        return json_answer(200, {**answer, "scope": scope}, Cache_Control="no-store")

    def answer(self, path: str, body: Iterator[bytes]) -> Answer:
        registry = self.server.registry
        if path == "/token" and registry.accounts and self.command in ("GET", "POST"):
            return self._token(body)
        if path == "/v2/":
            self._require({})
            return json_answer(200, {})
        found = PATH.fullmatch(path)
        if not found:
            raise Refused(404, "UNSUPPORTED")
        kind, reference = found["kind"], found["reference"]
        repository = Repository(registry.repositories, found["name"])
        actions = ACTIONS.get(self.command) if kind != "blobs/uploads" else None
        wanted: dict[str, Collection[str]] = {repository.name: actions or ("pull", "push")}
        if kind == "blobs/uploads" and self.asked("mount") and self.asked("from"):
            wanted.setdefault(Repository(registry.repositories, self.asked("from")).name, ("pull",))
        self._require(wanted)
        match self.command, kind, reference:
            case "POST", "blobs/uploads", "":
                return self._start(repository, body)
            case "GET" | "PATCH" | "PUT" | "DELETE", "blobs/uploads", _ if reference:
                return self._go_on(repository, reference, body)
            case "GET" | "HEAD", "blobs", _:
                return self._blob(repository, reference)
            case "DELETE", "blobs", _:
                return self._delete_blob(repository, reference)
            case "GET" | "HEAD", "manifests", _:
                digest = repository.digest(reference)
                media_type, content = repository.read(digest)
                return Answer(200, {"Content-Type": media_type, "Docker-Content-Digest": digest}, content)
            case "PUT", "manifests", _:
                return self._put_manifest(repository, reference, body)
            case "DELETE", "manifests", _:
                return self._delete_manifest(repository, reference)
            case "GET" | "HEAD", "tags", "list":
                return self._tags(repository)
            case "GET" | "HEAD", "referrers", _:
                return self._referrers(repository, reference)
        raise Refused(405, "UNSUPPORTED", Allow=METHODS[kind])

    def _blob(self, repository: Repository, digest: str) -> Answer:
        try:
            file = repository.blob(digest).open("rb")
        except FileNotFoundError:
            raise Refused(404, "BLOB_UNKNOWN") from None
        size = os.fstat(file.fileno()).st_size
        headers = {
            "Content-Type": "application/octet-stream",
            "Docker-Content-Digest": digest,
            "Accept-Ranges": "bytes",
        }
        asked = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", self.headers.get("Range", ""))
        if self.command == "HEAD" or not asked or asked[0] == "bytes=-":
            return Answer(200, headers, file=file, length=size)
        first, last = asked.groups()
        start = int(first) if first else max(0, size - int(last))
        end = min(int(last), size - 1) if first and last else size - 1
        if end < start:
            file.close()
            raise Refused(416, "SIZE_INVALID", "range not satisfiable", Content_Range=f"bytes */{size}")
        headers["Content-Range"] = f"bytes {start}-{end}/{size}"
        return Answer(206, headers, file=file, start=start, length=end - start + 1)

    def _delete_blob(self, repository: Repository, digest: str) -> Answer:
        try:
            repository.blob(digest).unlink()
        except FileNotFoundError:
            raise Refused(404, "BLOB_UNKNOWN") from None
        return Answer(202)

    def _blob_is_there(self, repository: Repository, digest: str) -> Answer:
        location = f"/v2/{repository.name}/blobs/{digest}"
        return Answer(201, {"Location": location, "Docker-Content-Digest": digest})

    def _start(self, repository: Repository, body: Iterator[bytes]) -> Answer:
        """A mount, a whole blob, or a session; a mount that cannot be becomes a session, as the spec wants."""
        mounted, digest = self.asked("mount"), self.asked("digest")
        if mounted and self._mount(repository, mounted):
            return self._blob_is_there(repository, mounted)
        if digest:
            repository.blob(digest)
        if self.asked("digest-algorithm") not in ("", "sha256", "sha512"):
            raise Refused(400, "DIGEST_INVALID", "unsupported digest algorithm")
        upload = self.server.registry.new_upload(repository)
        if not digest:
            return Answer(202, upload.headers)
        try:
            return self._finish(repository, upload, body)
        finally:
            self.server.registry.forget(upload)

    def _mount(self, repository: Repository, digest: str) -> bool:
        """A blob of another repository is linked; without `from`, of any that may be pulled from."""
        registry = self.server.registry
        target = repository.blob(digest)
        for name in [self.asked("from")] if self.asked("from") else registry.holding(digest):
            if self._may(name, "pull"):
                target.parent.mkdir(parents=True, exist_ok=True)
                with suppress(OSError):  # it is not there, or this file system has no links
                    with suppress(FileExistsError):
                        os.link(Repository(registry.repositories, name).blob(digest), target)
                    return True
        return False

    def _go_on(self, repository: Repository, name: str, body: Iterator[bytes]) -> Answer:
        registry = self.server.registry
        upload = registry.upload(repository, name)
        with upload.writing:
            registry.upload(repository, name)  # it may have ended while we waited
            if self.command == "DELETE":
                registry.forget(upload)
                return Answer(204)
            if self.command == "PUT":
                return self._finish(repository, upload, body)
            if self.command == "PATCH":
                upload.append(body, self.headers.get("Content-Range", ""))
            return Answer(202 if self.command == "PATCH" else 204, upload.headers)

    def _finish(self, repository: Repository, upload: Upload, body: Iterator[bytes]) -> Answer:
        digest = self.asked("digest")
        target = repository.blob(digest)
        upload.append(body, self.headers.get("Content-Range", ""))
        algorithm, _, expected = digest.partition(":")
        with upload.file.open("rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
        if found == expected:
            target.parent.mkdir(parents=True, exist_ok=True)
            upload.file.replace(target)
        self.server.registry.forget(upload)
        if found != expected:
            raise Refused(400, "DIGEST_INVALID")
        return self._blob_is_there(repository, digest)

    def _put_manifest(self, repository: Repository, reference: str, body: Iterator[bytes]) -> Answer:
        by_digest = ":" in reference
        tags = self.query.get("tag", []) if by_digest else [reference]
        content = self.whole(body, MANIFEST_LIMIT)
        digest = reference if by_digest else f"sha256:{hashlib.sha256(content).hexdigest()}"
        places = [repository.tag(tag) for tag in tags]
        if hashlib.new(place(digest).parts[0], content).hexdigest() != place(digest).parts[1]:
            raise Refused(400, "DIGEST_INVALID")
        media_type, document = parsed(content, self.headers.get("Content-Type", ""))
        registry = self.server.registry
        with registry.naming:
            if missing := repository.missing(document):
                raise Refused(400, "MANIFEST_BLOB_UNKNOWN", "", *({"digest": one} for one in missing))
            registry.write(repository.manifest(digest), media_type.encode() + b"\n" + content)
            for tag in places:
                registry.write(tag, digest.encode())
        headers = {"Location": f"/v2/{repository.name}/manifests/{reference}", "Docker-Content-Digest": digest}
        if subject := document.get("subject"):
            headers["OCI-Subject"] = subject["digest"]
        if by_digest and tags:
            headers["OCI-Tag"] = ", ".join(tags)
        return Answer(201, headers)

    def _delete_manifest(self, repository: Repository, reference: str) -> Answer:
        """A tag alone; or, by its digest, a manifest and the tags that name it."""
        by_digest = ":" in reference
        named = repository.manifest(reference) if by_digest else repository.tag(reference)
        with self.server.registry.naming:
            try:
                named.unlink()
            except FileNotFoundError:
                raise Refused(404, "MANIFEST_UNKNOWN") from None
            for tag, digest in repository.tags().items():
                if digest == reference:
                    repository.tag(tag).unlink()
        return Answer(202)

    def _tags(self, repository: Repository) -> Answer:
        """Tags in ASCII order, after `last`, at most `n` of them."""
        count, last = self.asked("n"), self.asked("last")
        if count and not re.fullmatch(r"[0-9]{1,9}", count):
            raise Refused(400, "UNSUPPORTED", "n must be a number")
        with self.server.registry.naming:
            later = [tag for tag in repository.tags() if tag > last]
        shown = later[: int(count)] if count else later
        headers = {}
        if shown and len(shown) < len(later):
            headers["Link"] = f'</v2/{repository.name}/tags/list?n={count}&last={quote(shown[-1])}>; rel="next"'
        return json_answer(200, {"name": repository.name, "tags": shown}, **headers)

    def _referrers(self, repository: Repository, subject: str) -> Answer:
        wanted = self.asked("artifactType")
        with self.server.registry.naming:
            manifests = [one for one in repository.referrers(subject) if wanted in ("", one.get("artifactType"))]
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
        return json_answer(
            200, index, Content_Type=OCI_INDEX, **({"OCI_Filters_Applied": "artifactType"} if wanted else {})
        )


class _Server(Server):
    def __init__(self, registry: EmbeddedRegistry) -> None:
        self.registry = registry
        super().__init__(registry.handler)


class EmbeddedRegistry:
    """A registry that runs within `with`, at `host`; without accounts everybody may do everything.

    It has the folder to itself, and finds there what an earlier one kept. A file appears under its name only whole,
    and a tag after what it names. A repository's blobs are its own files: a mount is a link.
    """

    host: str
    """127.0.0.1 and the port."""
    handler: type[RegistryHandler] = RegistryHandler
    """Who answers; a test's registry has another one, which now and then answers otherwise."""

    def __init__(self, folder: Path, accounts: Sequence[Account] = ()) -> None:
        self.accounts = tuple(accounts)
        self.tokens = Tokens(self.accounts)
        self.repositories = folder / "repositories"
        self.naming = threading.Lock()
        """Held while manifests and tags change."""
        self._partial = folder / "uploads"
        self._uploads: dict[str, Upload] = {}

    def __enter__(self) -> Self:
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        self._server = _Server(self)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def new_upload(self, repository: Repository) -> Upload:
        upload = Upload(repository.name, self._partial / str(uuid.uuid4()))
        upload.file.touch()
        self._uploads[upload.file.name] = upload
        return upload

    def upload(self, repository: Repository, name: str) -> Upload:
        found = self._uploads.get(name)
        if found is None or found.repository != repository.name:
            raise Refused(404, "BLOB_UPLOAD_UNKNOWN")
        return found

    def forget(self, upload: Upload) -> None:
        self._uploads.pop(upload.file.name, None)
        upload.file.unlink(missing_ok=True)

    def holding(self, digest: str) -> list[str]:
        """The names of the repositories that have a blob."""
        found = self.repositories.glob(f"**/_blobs/{place(digest)}")
        return [str(file.parents[2].relative_to(self.repositories)) for file in found]

    def write(self, file: Path, content: bytes) -> None:
        partial = self._partial / str(uuid.uuid4())
        partial.write_bytes(content)
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(file)
