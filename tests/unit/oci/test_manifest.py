"""Documents of indexes and manifests: what is taken over of them, what is refused, and the bytes of the new one."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from pushsafe.oci.document import Unusable
from pushsafe.oci.manifest import (
    DOCKER_MANIFEST,
    INDEX_TYPES,
    Blob,
    Descriptor,
    ImageConfig,
    ManifestContent,
    blobs,
    clash,
    config_of,
    descriptor_of,
    descriptors,
    in_levels,
    index_of,
    single,
    subject_of,
)
from pushsafe.oci.platform import Platform
from tests.fakes import holding
from tests.fakes.holding import Image, attestation_of, attested, content_of
from tests.values import AMD64, ARM64, OCI_INDEX, OCI_MANIFEST, sha

ONE, TWO = Image("linux/amd64"), Image("linux/arm64/v8")
DOCKER_LIST = INDEX_TYPES[1]
WINDOWS = Platform("windows", "amd64", os_version="10.0.17763.1")


def entries(*parts: Descriptor) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(index_of(parts).body)["manifests"]
    return found


def test_an_image_is_named_with_the_platform_of_its_config() -> None:
    config = ImageConfig(Platform("linux", "arm", "v7"))
    part = single(TWO.content, config)
    assert (part.digest, part.media_type, part.platform) == (TWO.content.digest, OCI_MANIFEST, config.platform)
    assert entries(part) == [
        {
            "mediaType": OCI_MANIFEST,
            "digest": TWO.content.digest,
            "size": len(TWO.content.body),
            "platform": {"architecture": "arm", "os": "linux", "variant": "v7"},
        }
    ]


def test_what_a_config_says_of_windows_is_kept() -> None:
    platform = entries(single(ONE.content, ImageConfig(WINDOWS, features=("win32k",))))[0]["platform"]
    assert platform == {
        "architecture": "amd64",
        "os": "windows",
        "os.version": "10.0.17763.1",
        "os.features": ["win32k"],
    }


def test_an_index_is_taken_over_with_all_that_it_says() -> None:
    """Each image is followed by its attestations, whatever the order was."""
    first = ONE.entry(annotations={"org.example": "é"}, urls=["https://x.test"], artifactType="a/b")
    first["platform"]["os.features"] = ["one"]
    index = holding.index_of(attested(TWO), first, TWO.entry(), attested(ONE))
    parts = descriptors(index)
    assert [part.platform for part in parts] == [AMD64, None, Platform("linux", "arm64", "v8"), None]
    assert [part.attests for part in parts] == ["", ONE.content.digest, "", TWO.content.digest]
    assert entries(*parts) == [first, attested(ONE), TWO.entry(), attested(TWO)]


def test_an_attestation_of_what_is_not_there_is_left() -> None:
    index = holding.index_of(ONE.entry(), attested(TWO))
    assert [part.digest for part in descriptors(index)] == [ONE.content.digest]


def entry(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**ONE.entry(), **changes}.items() if value is not None}


UNUSABLE: dict[str, tuple[ManifestContent, str]] = {
    "no JSON": (ManifestContent("", OCI_INDEX, b"<html>"), "is not JSON"),
    "nested too deep": (ManifestContent("", OCI_INDEX, b"[" * 100_000), "is not JSON"),
    "not a number": (ManifestContent("", OCI_INDEX, b'{"manifests": [NaN]}'), "is not JSON"),
    "no object": (content_of([], OCI_INDEX), "is not a JSON object"),  # type: ignore[arg-type]
    "no list": (content_of({"manifests": {}}, OCI_INDEX), "has no list of manifests"),
    "null": (content_of({"manifests": None}, OCI_INDEX), "names no image"),
    "no entries": (content_of({"manifests": ["x"]}, OCI_INDEX), "has no list of manifests"),
    "nothing": (holding.index_of(), "names no image"),
    "attestations only": (holding.index_of(attested(ONE)), "names no image"),
    "an index": (holding.index_of(entry(mediaType=OCI_INDEX)), f"names another index ({ONE.content.digest})"),
    "no image": (holding.index_of(entry(mediaType="a/b")), f"names what is no image ({ONE.content.digest})"),
    "no type": (holding.index_of(entry(mediaType=None)), f"names what is no image ({ONE.content.digest})"),
    "no digest": (holding.index_of(entry(digest=None)), "names a manifest without a digest"),
    "a path": (
        holding.index_of(entry(digest="sha256:../../x")),
        'names a manifest by "sha256:../../x", which is not a digest: sha256 has 64 hexadecimal digits',
    ),
    "no platform": (holding.index_of(entry(platform=None)), f"names {ONE.content.digest}, and for no platform"),
    "an odd platform": (
        holding.index_of(entry(platform={"os": "linux", "architecture": "$(reboot)"})),
        f"names {ONE.content.digest}, and for no platform",
    ),
}


HEX = "ab" * 32
ODD_BLOBS: dict[str, tuple[Any, str]] = {
    "nothing": (None, "names a blob without a descriptor"),
    "no digest": ({"size": 1}, "names a blob without a digest"),
    "an empty digest": ({"digest": "", "size": 1}, "names a blob without a digest"),
    "a number": ({"digest": 5, "size": 1}, "names a blob by 5, which is not a digest"),
    "no algorithm": ({"digest": HEX, "size": 1}, f'names a blob by "{HEX}", which is not a digest'),
    **{
        f"of {algorithm}": (
            {"digest": f"{algorithm}:{HEX}", "size": 1},
            f'names a blob by "{algorithm}:{HEX}", whose algorithm is not known here: sha256 and sha512 are',
        )
        for algorithm in ("blake3", "sha384", "md5", "sha256+b64u", "multihash+base58")
    },
    "large letters": (
        {"digest": f"sha256:{HEX.upper()}", "size": 1},
        f'names a blob by "sha256:{HEX.upper()}", whose letters have to be lowercase',
    ),
    "a large algorithm": (
        {"digest": f"SHA256:{HEX}", "size": 1},
        f'names a blob by "SHA256:{HEX}", whose letters have to be lowercase',
    ),
    "too short": (
        {"digest": f"sha256:{HEX[1:]}", "size": 1},
        f'names a blob by "sha256:{HEX[1:]}", which is not a digest: sha256 has 64 hexadecimal digits',
    ),
    "of the other length": (
        {"digest": f"sha512:{HEX}", "size": 1},
        f'names a blob by "sha512:{HEX}", which is not a digest: sha512 has 128 hexadecimal digits',
    ),
    "what a terminal obeys": (
        {"digest": "x:\x1b[1m", "size": 1},
        'names a blob by "x:\\u001b[1m", which is not a digest',
    ),
    "no size": ({"digest": f"sha256:{HEX}"}, f"names the blob sha256:{HEX} with no size"),
    **{
        f"the size {text}": (
            {"digest": f"sha256:{HEX}", "size": size},
            f"names the blob sha256:{HEX} with the size {text}, which is not a number of bytes",
        )
        for size, text in ((1.0, "1.0"), ("12", '"12"'), (-1, "-1"), (True, "true"), ([1], "[1]"))
    },
}


def test_each_odd_descriptor_has_words_of_its_own() -> None:
    for case, (described, why) in ODD_BLOBS.items():
        with pytest.raises(Unusable) as error:
            descriptor_of(described)
        assert str(error.value) == why, case


def test_what_no_index_is_made_of() -> None:
    for case, (content, why) in UNUSABLE.items():
        with pytest.raises(Unusable) as error:
            descriptors(content)
        assert str(error.value) == why, case


def test_an_image_without_a_platform() -> None:
    with pytest.raises(Unusable, match="names no platform"):
        single(ONE.content, ImageConfig())


# ---------------------------------------------------------------------- the new one


def part(image: Image, platform: Platform = AMD64) -> Descriptor:
    return single(image.content, ImageConfig(platform))


DOCKERS, OCIS = Image("linux/amd64", media_type=DOCKER_MANIFEST), ONE
TYPES: dict[str, tuple[list[Image], str]] = {
    "Docker's": ([DOCKERS, DOCKERS], DOCKER_LIST),
    "OCI's": ([OCIS, OCIS], OCI_INDEX),
    "both": ([DOCKERS, OCIS], OCI_INDEX),
}


def test_the_type_of_an_index_is_that_of_its_images() -> None:
    for case, (images, media_type) in TYPES.items():
        content = index_of([part(image) for image in images])
        document = json.loads(content.body)
        assert (content.media_type, document["mediaType"], document["schemaVersion"]) == (media_type, media_type, 2), (
            case
        )


def test_attestations_make_it_an_oci_index() -> None:
    index = holding.index_of(DOCKERS.entry(), attested(DOCKERS), media_type=DOCKER_LIST)
    assert index_of(descriptors(index)).media_type == OCI_INDEX


def test_the_same_parts_make_the_same_bytes() -> None:
    index = index_of([part(ONE), part(TWO, ARM64)])
    assert index == index_of([part(ONE), part(TWO, ARM64)])
    assert index == index_of(descriptors(index))  # an index of an index is that index
    assert index != index_of([part(TWO, ARM64), part(ONE)])


V6, V7 = Platform("linux", "arm", "v6"), Platform("linux", "arm", "v7")
OLDER, PATCHED = WINDOWS._replace(os_version="10.0.14393.9"), WINDOWS._replace(os_version="10.0.17763.2")
CLASHES: dict[str, tuple[list[Platform], bool]] = {
    "nothing": ([], False),
    "two": ([AMD64, ARM64], False),
    "twice": ([AMD64, ARM64, AMD64], True),
    "variants": ([V6, V7], False),
    "the variant that is meant": ([Platform("linux", "arm"), V7], True),
    "the variant that is not meant": ([Platform("linux", "arm"), V6], False),
    "another name": ([ARM64, Platform("linux", "aarch64", "v8")], True),
    "versions of Windows": ([WINDOWS, OLDER], False),
    "patches of Windows": ([WINDOWS, PATCHED], True),
}


def test_two_of_one_platform() -> None:
    for case, (platforms, clashing) in CLASHES.items():
        found = clash((f"source {number}", platform) for number, platform in enumerate(platforms))
        last = len(platforms) - 1
        first = next(
            (number for number, one in enumerate(platforms[:-1]) if clash([("", one), ("", platforms[-1])])), -1
        )
        assert found == ((f"source {first}", f"source {last}", platforms[-1]) if clashing else None), case


def test_many_of_many_platforms_take_no_time() -> None:
    """Compared one with the other they would be millions of comparisons."""
    platforms = [Platform("linux", f"cpu{number}") for number in range(20_000)]
    started = time.monotonic()
    assert clash(("a source", one) for one in platforms) is None
    assert time.monotonic() - started < 2


def test_an_index_of_too_many() -> None:
    many = [Image(f"linux/cpu{number}").entry() for number in range(201)]
    assert len(descriptors(holding.index_of(*many[:200]))) == 200
    with pytest.raises(Unusable, match="names more than 200 manifests"):
        descriptors(holding.index_of(*many))


def test_what_no_document_can_say_is_not_taken_over() -> None:
    for number in ("1e999", "-1e999", "NaN", "Infinity"):
        index = holding.index_of(ONE.entry(annotations={"a": "NUMBER"}))
        body = index.body.replace(b'"NUMBER"', number.encode())
        with pytest.raises(Unusable, match="is not JSON"):
            descriptors(index._replace(body=body))


# ---------------------------------------------------------------------- blobs

CONFIG = {"digest": sha("c"), "size": 7}


def layered(*layers: Any, config: Any = CONFIG) -> ManifestContent:
    return content_of({"config": config, "layers": list(layers)}, OCI_MANIFEST)


def test_the_blobs_of_an_image_are_its_config_and_its_layers() -> None:
    layer = {"digest": sha("1"), "size": 5, "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"}
    assert blobs(layered(layer, layer)) == (Blob(sha("c"), 7, is_layer=False), Blob(sha("1"), 5))
    assert config_of(layered(layer)) == sha("c")


def test_an_image_without_layers() -> None:
    """BuildKit writes `null` of none; what is not there at all is no list."""
    assert blobs(content_of({"config": CONFIG, "layers": None}, OCI_MANIFEST)) == (Blob(sha("c"), 7, is_layer=False),)
    with pytest.raises(Unusable, match="has no list of layers"):
        blobs(content_of({"config": CONFIG}, OCI_MANIFEST))


def test_what_may_not_be_passed_on_stays() -> None:
    for media_type in (
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    ):
        layer = {"digest": sha("1"), "size": 5, "mediaType": media_type, "urls": ["https://go.microsoft.test/1"]}
        assert blobs(layered(layer)) == (Blob(sha("c"), 7, is_layer=False),), media_type


def test_what_is_nowhere_else_is_held() -> None:
    layer = {"digest": sha("1"), "size": 5, "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"}
    assert blobs(layered(layer)) == (Blob(sha("c"), 7, is_layer=False), Blob(sha("1"), 5))


def test_a_blob_without_digest_or_size() -> None:
    for blob in (
        None,
        "x",
        {},
        {"digest": sha("1")},
        {"digest": "sha256:/../..", "size": 1},
        {"digest": sha("1"), "size": -1},
        {"digest": sha("1"), "size": "1"},
        {"digest": sha("1"), "size": True},
    ):
        with pytest.raises(Unusable):
            blobs(layered(config=blob))
        with pytest.raises(Unusable):
            blobs(layered(blob))


def test_an_attestation_has_blobs_as_well() -> None:
    assert len(blobs(attestation_of(ONE).content)) == 3


LEVELS: dict[str, tuple[dict[str, str], list[str]]] = {
    # what each needs, by letters, and the levels
    "nothing": ({}, []),
    "no needs": ({"a": "", "b": ""}, ["ab"]),
    "a chain": ({"c": "b", "b": "a", "a": ""}, ["a", "b", "c"]),
    "what is elsewhere": ({"a": "x", "b": "ya"}, ["a", "b"]),
    "a diamond": ({"d": "bc", "b": "a", "c": "a", "a": ""}, ["a", "bc", "d"]),
    "a ring": ({"a": "b", "b": "a", "c": ""}, ["c", "ab"]),
    "itself": ({"a": "a", "b": ""}, ["b", "a"]),
    "after a ring": ({"a": "b", "b": "a", "c": "a"}, ["abc"]),
}


def test_levels() -> None:
    for case, (needs, levels) in LEVELS.items():
        assert in_levels({one: set(wanted) for one, wanted in needs.items()}) == [list(level) for level in levels], case


SUBJECTS: dict[str, tuple[dict[str, Any], str]] = {
    "none": ({}, ""),
    "null": ({"subject": None}, ""),
    "a digest": ({"subject": {"digest": sha("1")}}, sha("1")),
    "no object": ({"subject": sha("1")}, ""),
    "no text": ({"subject": {"digest": 1}}, ""),
}


def test_what_a_manifest_refers_to() -> None:
    for case, (document, digest) in SUBJECTS.items():
        assert subject_of(content_of(document, OCI_MANIFEST)) == digest, case
