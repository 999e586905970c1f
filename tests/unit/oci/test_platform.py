"""Platforms are compared as engines compare them, whatever their names leave out."""

from __future__ import annotations

from pushsafe.oci.platform import Platform, lacking, listed, option, same
from tests.values import AMD64, ARM64

WINDOWS = Platform("windows", "amd64")


def platform(text: str) -> Platform:
    name, _, version = text.partition("@")
    return Platform(*name.split("/"))._replace(os_version=version)


def test_same() -> None:
    for one, other, expected in (
        ("linux/amd64", "linux/amd64", True),
        ("linux/amd64", "linux/arm64", False),
        ("linux/amd64", "windows/amd64", False),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64", "linux/arm64/v9", False),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm", "linux/arm/v6", False),
        ("linux/arm/7", "linux/arm/v7", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/arm", "linux/arm64", False),
        ("linux/amd64/v1", "linux/amd64", True),
        ("linux/amd64/v3", "linux/amd64", False),
        ("linux/aarch64", "linux/arm64", True),
        ("linux/x86_64", "linux/amd64", True),
        ("linux/armel", "linux/arm/v6", True),
        ("linux/armhf", "linux/arm", True),
        ("Linux/AMD64", "linux/amd64", True),
        ("linux/riscv64", "linux/riscv64", True),
        ("windows/amd64@10.0.17763.1", "windows/amd64", True),
        ("windows/amd64@10.0.17763.1", "windows/amd64@10.0.17763.5830", True),
        ("windows/amd64@10.0.17763.1", "windows/amd64@10.0.20348.1", False),
    ):
        assert same(platform(one), platform(other)) is expected, one
        assert same(platform(other), platform(one)) is expected, one


def test_lacking() -> None:
    assert lacking((AMD64, ARM64), (platform("linux/arm64/v8"),)) == (AMD64,)
    assert lacking((AMD64, ARM64), (AMD64, ARM64)) == ()
    assert lacking((AMD64,), ()) == (AMD64,)


def test_texts() -> None:
    builds = [WINDOWS._replace(os_version=version) for version in ("10.0.17763.1", "10.0.20348.1")]
    assert listed((AMD64, *builds)) == "linux/amd64, windows/amd64 (10.0.17763.1), windows/amd64 (10.0.20348.1)"
    assert option((AMD64, *builds)) == "linux/amd64,windows/amd64"
