"""Which proxy leads to a URL: the rules of Go's ProxyFromEnvironment."""

from __future__ import annotations

from pushsafe.runtime.proxy import proxy_for

PROXY = "http://proxy.test:3128"
OTHER = "http://other.test:3128"
CHOSEN = [
    # URL, environment, proxy
    ("http://a.test/", {}, ""),
    ("http://a.test/", {"HTTP_PROXY": PROXY}, PROXY),
    ("http://a.test/", {"http_proxy": PROXY}, PROXY),
    ("http://a.test/", {"HTTP_PROXY": PROXY, "http_proxy": OTHER}, PROXY),
    ("http://a.test/", {"HTTP_PROXY": "", "http_proxy": OTHER}, OTHER),
    ("http://a.test/", {"Http_Proxy": PROXY}, ""),
    ("http://a.test/", {"HTTPS_PROXY": PROXY}, ""),
    ("https://a.test/", {"HTTPS_PROXY": PROXY}, PROXY),
    ("https://a.test/", {"https_proxy": PROXY}, PROXY),
    ("https://a.test/", {"HTTP_PROXY": PROXY}, ""),
    ("https://a.test/", {"ALL_PROXY": PROXY, "all_proxy": PROXY}, ""),
    ("http://a.test/", {"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, PROXY),
    ("http://a.test/", {"HTTP_PROXY": "proxy.test:3128"}, PROXY),
    ("http://a.test/", {"HTTP_PROXY": "user:pass@proxy.test"}, "http://user:pass@proxy.test"),
    ("http://a.test/", {"HTTP_PROXY": "https://proxy.test"}, "https://proxy.test"),
    ("http://a.test/", {"HTTP_PROXY": "socks5://proxy.test"}, "socks5://proxy.test"),
    ("http://a.test/", {"HTTP_PROXY": PROXY, "no_proxy": "a.test"}, ""),
    ("http://a.test/", {"HTTP_PROXY": PROXY, "NO_PROXY": "b.test", "no_proxy": "a.test"}, PROXY),
    ("unix:///run/docker.sock", {"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY, "ALL_PROXY": PROXY}, ""),
]  # fmt: skip


def test_the_proxy_of_the_environment() -> None:
    for url, environ, proxy in CHOSEN:
        assert proxy_for(url, environ) == proxy, url


STRAIGHT = [
    # URL, NO_PROXY
    ("http://localhost", ""), ("https://LOCALHOST:5000/", ""), ("http://127.0.0.1:5000", ""), ("http://127.9.9.9", ""),
    ("http://[::1]:5000", ""), ("http://a.test", "*"), ("http://10.1.2.3", "*"), ("http://a.test", "x.test, * "),
    ("http://a.test", "a.test"), ("http://A.Test", "a.test"), ("http://a.test", "A.TEST"),
    ("http://b.a.test", "a.test"), ("http://b.a.test", ".a.test"), ("http://b.a.test", "*.a.test"),
    ("http://c.b.a.test", "*.a.test"),
    ("http://a.test", " x.y,,  a.test "), ("http://a.test:5000", "a.test"), ("http://a.test:5000", "a.test:5000"),
    ("http://a.test", "a.test:80"), ("https://a.test", "a.test:443"), ("https://b.a.test", ".a.test:443"),
    ("http://a.test", "a.test:"),
    ("http://10.1.2.3", "10.1.2.3"), ("http://10.1.2.3:5000", "10.1.2.3:5000"), ("http://10.1.2.3", "10.0.0.0/8"),
    ("http://10.1.2.3:5000", "x, 10.9.9.9/8"), ("http://[fd00::1]", "fd00::1"), ("http://[fd00::1]", "[fd00::1]:80"),
    ("http://[fd00::1]", "fd00:0::1"), ("http://[fd00::1]:5000", "fd00::/8"),
]  # fmt: skip
THROUGH = [
    ("http://a.test", ""), ("http://a.test", ","), ("http://a.test", "b.test"), ("http://a.test", ".a.test"),
    ("http://a.test", "*.a.test"), ("http://ba.test", "a.test"), ("http://a.test.evil", "a.test"),
    ("http://a.test", "a.test:443"), ("https://a.test", "a.test:80"), ("http://a.test:5000", "a.test:500"),
    ("http://a.test", ":80"), ("http://a.test", "*test"), ("http://localhost.test", ""),
    ("http://a.test", "10.0.0.0/8"), ("http://11.1.2.3", "10.0.0.0/8"), ("http://10.1.2.3", "10.1.2.4"),
    ("http://10.1.2.3", "10.1.2.3:81"),
    ("http://10.1.2.3", "10.1.2.3/99"), ("http://10.1.2.3", "10.1.2"), ("http://128.0.0.1", ""),
    ("http://[fd00::1]", "[fd00::1]"), ("http://[fd00::1]", "fe00::/8"), ("http://a.test", "a b/c"),
]  # fmt: skip


def test_no_proxy() -> None:
    for url, exceptions in STRAIGHT:
        assert proxy_for(url, {"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY, "NO_PROXY": exceptions}) == "", url


def test_a_proxy_all_the_same() -> None:
    for url, exceptions in THROUGH:
        assert proxy_for(url, {"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY, "NO_PROXY": exceptions}) == PROXY, url
