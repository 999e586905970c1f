"""The registries of a run in-process, which really hold what is put there: the scripted Registry with a store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pushsafe.model.credentials import Credential, Repository
from pushsafe.model.evidence import Evidence, Stage
from pushsafe.model.outcomes import LayerState
from pushsafe.model.retry_policy import NO_RETRIES, RetryPolicy
from pushsafe.oci.manifest import Blob, ImageConfig, ManifestContent, ManifestInfo
from pushsafe.oci.platform import Platform, of_document
from pushsafe.oci.reference import Reference
from tests.fakes.gateways import NOT_THERE, PUT, Registry, Scripted, give
from tests.values import OCI_INDEX, OCI_MANIFEST

INCOMPLETE = Evidence(Stage.PUSH, "blob unknown to registry", status=404, code="MANIFEST_BLOB_UNKNOWN", sent=True)


def content_of(document: dict[str, Any], media_type: str) -> ManifestContent:
    body = json.dumps(document).encode()
    return ManifestContent(f"sha256:{hashlib.sha256(body).hexdigest()}", media_type, body)


def digest_of(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@dataclass(frozen=True)
class Image:
    """A manifest of two layers, one of which all images share, and its config; `subject` is the digest that it refers
    to."""

    platform: str
    name: str = ""
    media_type: str = OCI_MANIFEST
    subject: str = ""

    @property
    def config(self) -> str:
        return digest_of(f"config of {self.platform} {self.name}")

    @property
    def blobs(self) -> dict[str, int]:
        return {self.config: 10, digest_of("shared"): 1000, digest_of(f"layer of {self.platform} {self.name}"): 500}

    @property
    def content(self) -> ManifestContent:
        config, *layers = [{"digest": digest, "size": size} for digest, size in self.blobs.items()]
        refers = {"subject": {"digest": self.subject}} if self.subject else {}
        return content_of({"schemaVersion": 2, "config": config, "layers": layers, **refers}, self.media_type)

    def entry(self, **more: Any) -> dict[str, Any]:
        """As an index names it."""
        names = ("os", "architecture", "variant")
        platform = dict(zip(names, self.platform.split("/"), strict=False))
        content = self.content
        named = {"mediaType": self.media_type, "digest": content.digest, "size": len(content.body)}
        return {**named, "platform": platform, **more}


def attestation_of(image: Image) -> Image:
    digest = image.content.digest
    return Image("unknown/unknown", f"attests {digest}", subject=digest)


def attested(image: Image) -> dict[str, Any]:
    """How an index names the attestation of one of its images."""
    annotations = {
        "vnd.docker.reference.digest": image.content.digest,
        "vnd.docker.reference.type": "attestation-manifest",
    }
    return attestation_of(image).entry(annotations=annotations)


def index_of(*entries: dict[str, Any], media_type: str = OCI_INDEX) -> ManifestContent:
    return content_of({"schemaVersion": 2, "mediaType": media_type, "manifests": list(entries)}, media_type)


@dataclass
class Holding(Registry):
    """`stored` are manifests and `blobs` by repository, `named` what tags name there; `platforms` of configs.

    `bringing` are the answers for blobs by digest; `put` and everything else is scripted as in Registry, where it is.
    """

    stored: dict[str, dict[str, ManifestContent]] = field(default_factory=dict)
    blobs: dict[str, set[str]] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)
    platforms: dict[str, Platform] = field(default_factory=dict)
    bringing: dict[str, Scripted[LayerState | Evidence]] = field(default_factory=dict)
    reading: dict[str, Scripted[ManifestContent | Evidence]] = field(default_factory=dict)
    brought: list[str] = field(default_factory=list)

    def hold(self, tag: str, *images: Image, index: ManifestContent | None = None) -> None:
        """Let a tag name an index of these images, or the one that there is."""
        name, _, _ = tag.rpartition(":")
        for image in images:
            self.stored.setdefault(name, {})[image.content.digest] = image.content
            self.blobs.setdefault(name, set()).update(image.blobs)
            parts = image.platform.split("/")
            if image.platform != "unknown/unknown":
                self.platforms[image.config] = Platform(*parts)
        content = index or images[0].content
        self.stored.setdefault(name, {})[content.digest] = content
        self.named[tag] = content.digest

    def index(self, tag: str) -> dict[str, Any]:
        """The document that a tag names."""
        document: dict[str, Any] = json.loads(self.stored[tag.rpartition(":")[0]][self.named[tag]].body)
        return document

    def manifest(
        self,
        reference: Reference,
        credential: Credential,
        digest: str = "",
        *,
        whole: bool = False,
        known: ManifestInfo | None = None,
        expected: str = "",
        retry_policy: RetryPolicy = NO_RETRIES,
    ) -> ManifestInfo | Evidence:
        found = self._held(reference, digest)
        if found is None:
            return NOT_THERE
        document = json.loads(found.body)
        entries = document.get("manifests", [])
        named = (of_document(entry["platform"]) for entry in entries)
        return ManifestInfo(
            found.digest,
            found.media_type,
            platforms=tuple(one for one in named if one),
            children=tuple(entry["digest"] for entry in entries),
            config=document["config"]["digest"] if "config" in document else "",
        )

    def content(
        self, reference: Reference, credential: Credential, digest: str = "", retry_policy: RetryPolicy = NO_RETRIES
    ) -> ManifestContent | Evidence:
        name = f"{reference.name}@{digest}" if digest else str(reference)
        self.asked.append(f"content {name}")
        if name in self.reading:
            return give(self.reading[name])
        return self._held(reference, digest) or NOT_THERE

    def image_config(
        self, reference: Reference, credential: Credential, digest: str, retry_policy: RetryPolicy = NO_RETRIES
    ) -> ImageConfig | Evidence:
        self.retry_policy.append(retry_policy.retries)
        return give(self.configs[digest]) if digest in self.configs else ImageConfig(self.platforms.get(digest))

    def put(
        self,
        reference: Reference,
        credential: Credential,
        content: ManifestContent,
        retry_policy: RetryPolicy = NO_RETRIES,
        *,
        tagged: bool = True,
    ) -> Evidence:
        name = str(reference) if tagged else f"{reference.name}@{content.digest}"
        self.asked.append(f"put {name}")
        said: Evidence = give(self.puts.get(name, PUT))
        if said.status != PUT.status:
            return said
        document = json.loads(content.body)
        held = {*self.blobs.get(reference.name, ()), *self.stored.get(reference.name, ())}
        wanted = [document.get("config", {}), *document.get("layers", []), *document.get("manifests", [])]
        wanted.append(document.get("subject", {}))  # as GitLab's registry insists on
        if any(one and one["digest"] not in held for one in wanted):
            return INCOMPLETE
        self.stored.setdefault(reference.name, {})[content.digest] = content
        if tagged:
            self.named[str(reference)] = content.digest
        return said

    def bring(
        self,
        blob: Blob,
        source: Repository,
        target: Repository,
        on_sent: Callable[[int], None],
        retry_policy: RetryPolicy,
    ) -> LayerState | Evidence:
        self.brought.append(f"{source.reference.name} -> {target.reference.name}")
        one = source.reference.registry == target.reference.registry
        said = give(self.bringing.get(blob.digest, LayerState.MOUNTED if one else LayerState.SENT))
        if isinstance(said, LayerState):
            on_sent(blob.size)
            self.blobs.setdefault(target.reference.name, set()).add(blob.digest)
        return said

    def _held(self, reference: Reference, digest: str) -> ManifestContent | None:
        return self.stored.get(reference.name, {}).get(digest or self.named.get(str(reference), ""))
