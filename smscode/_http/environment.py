"""What the environment says about the way to the service: proxies, and the certificates to trust.

Nothing here connects. What cannot be used is a `ConfigurationError` that names the variable, so that a wrong
setting is not mistaken for a network that is down.
"""

from __future__ import annotations

import importlib
import ipaddress
import os
import re
import ssl
import stat
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import httpx

from ..core.api.arguments import is_host, is_loopback
from ..errors import ConfigurationError

_Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"

_PORTS = {"http": 80, "https": 443}
PROXY_SCHEMES: Final = ("http", "https", "socks5", "socks5h")
_HASH_NAME = re.compile(r"[0-9a-f]{8}\.[0-9]+")  # the only names that OpenSSL looks for in a directory
_PEM = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----")
_LONGEST_SCHEME = 10
_SEPARATORS = re.compile(r"[,\s]+")


def environment_proxy(base_url: str, schemes: Collection[str] = PROXY_SCHEMES) -> str | None:
    """Return the proxy that the environment names for an address (HTTPS_PROXY, ALL_PROXY, NO_PROXY).

    ``schemes`` are those of the proxies that can be used. There is never a proxy for http: plain http is only
    for this machine or a sandbox, and the token must not go elsewhere. Raises `ConfigurationError` if the
    variable cannot be used.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if parts.scheme != "https" or is_loopback(host):
        return None
    port = parts.port or _PORTS[parts.scheme]
    found = _variable("https_proxy", os.environ) or _variable("all_proxy", os.environ)
    if found is None:
        return _system_proxy(host, schemes)
    excepted = _variable("no_proxy", os.environ)
    if excepted is not None and is_excepted(host, port, excepted[1]):
        return None
    return _usable_proxy(*found, schemes)


def _variable(name: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return a variable's name as it is spelled, and its value; None if it is empty or not set.

    As everywhere in Python the spelling in lower case counts first. A proxy's variable in lower case that is
    set and empty switches that proxy off, whatever the other spelling says.
    """
    if name in environ and name != "no_proxy":
        return (name, environ[name]) if environ[name] else None
    for spelled, value in sorted(environ.items(), reverse=True):
        if value and spelled.lower() == name:
            return spelled, value
    return None


def _system_proxy(host: str, schemes: Collection[str]) -> str | None:
    """Return the proxy of the system's own settings, which Windows and macOS have."""
    proxy = urllib.request.getproxies().get("https")
    if proxy is None or urllib.request.proxy_bypass(host):
        return None
    return _usable_proxy("The proxy of the system's settings", proxy, schemes)


def _usable_proxy(name: str, value: str, schemes: Collection[str]) -> str:
    """Check a proxy's URL. No message shows the value, since it may hold a password."""
    if not value.isprintable() or " " in value:
        raise ConfigurationError(f"{name}: expected a proxy's URL without spaces or line ends.")
    # Many environments name it without a scheme, as curl allows; httpx does not.
    scheme, has_scheme, rest = value.partition("://")
    if not has_scheme:
        scheme, rest = "http", value
    scheme = scheme.lower()
    if scheme not in schemes:
        # A password may stand where the scheme is expected, so only a plain word is shown.
        shown = f" {scheme!r}" if len(scheme) <= _LONGEST_SCHEME and scheme.isalnum() else ""
        raise ConfigurationError(
            f"{name}: the proxy's scheme{shown} is not supported: expected one of {', '.join(schemes)}."
        )
    url = f"{scheme}://{rest}"
    if not _names_a_host(url) or not (has_scheme or "/" not in rest.removesuffix("/")):
        raise ConfigurationError(
            f"{name}: the proxy's host or port is not valid: expected http://host:port, and %-escapes for "
            "special characters in a password."
        )
    if scheme.startswith("socks"):
        try:
            importlib.import_module("socksio")
        except ImportError as error:
            raise ConfigurationError(
                f'{name}: a SOCKS proxy needs one more package: pip install "httpx[socks]"'
            ) from error
    return url


def _names_a_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        httpx.Proxy(url)
        return parts.hostname is not None and is_host(_ascii(parts.hostname)) and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        return False


def is_excepted(host: str, port: int, no_proxy: str) -> bool:
    """Return True if a value of NO_PROXY takes a host out, by the rules of Go's httpproxy.

    Its entries are host names (with all names below them), ``.suffix`` or ``*.suffix`` (only the names
    below), IP addresses, networks (``10.0.0.0/8``) or ``*``; names and addresses may end in a port. An entry
    that makes no sense counts for nothing. Beyond Go, spaces separate entries, too, and an IPv6 address
    without a port may have brackets.
    """
    name = host.lower().strip("[]").removesuffix(".")
    address = _ip(name)
    return any(_matches(entry, name, address, port) for entry in _entries(no_proxy))


def _entries(no_proxy: str) -> Iterator[str]:
    return (entry.lower() for entry in _SEPARATORS.split(no_proxy) if entry)


def _matches(entry: str, name: str, address: _Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return address is not None and _in_network(entry, address)
    wanted, wanted_port = _split_port(entry)
    if wanted_port not in ("", str(port)):
        return False
    literal = _ip(wanted)
    if literal is not None:
        return literal == address
    suffix = _ascii((wanted[1:] if wanted.startswith("*.") else wanted).removesuffix("."))
    if not suffix:
        return False
    return name.endswith(suffix) if suffix.startswith(".") else name == suffix or name.endswith(f".{suffix}")


def _split_port(entry: str) -> tuple[str, str]:
    """Return an entry's host and port; the port is empty where there is none."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, rest.removeprefix(":")
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, port
    return entry, ""


def _in_network(entry: str, address: _Address) -> bool:
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
    return address in network


def _ip(text: str) -> _Address | None:
    """Return an IP address; an IPv4 address in IPv6 notation is the IPv4 address."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _ascii(name: str) -> str:
    """Return a host name as it is sent; what has no such form stays as it is and matches nothing."""
    try:
        dot = "." if name.startswith(".") else ""
        return dot + name.removeprefix(".").encode("idna").decode("ascii")
    except UnicodeError:
        return name


def ssl_context(base_url: str) -> ssl.SSLContext:
    """Return the TLS settings for an address; no certificates are loaded where none are used.

    Those to trust are in SSL_CERT_FILE or SSL_CERT_DIR, if one of them is set, and else in certifi's file.
    Raises `ConfigurationError` if they cannot be used.
    """
    if not base_url.startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    file, directory = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file:
        _check_file("SSL_CERT_FILE", file)
    elif directory:
        _check_directories("SSL_CERT_DIR", directory)
    try:
        context = httpx.create_ssl_context()
    except OSError as error:
        raise _unusable(error, file) from error
    if file and not context.cert_store_stats()["x509"]:
        raise _no_certificate("SSL_CERT_FILE", file)
    return context


def _unusable(error: OSError, file: str | None) -> ConfigurationError:
    """Return the error for TLS settings that cannot be made, which names what they were made from."""
    key_log = os.environ.get("SSLKEYLOGFILE")
    if key_log and not isinstance(error, ssl.SSLError) and not _writable(key_log):
        return ConfigurationError(f"SSLKEYLOGFILE: {key_log!r} cannot be written ({_why(error)}).")
    if file:
        return _no_certificate("SSL_CERT_FILE", file)
    return ConfigurationError(
        f"TLS cannot be set up ({_why(error)}): is the certifi package complete, and OPENSSL_CONF, if it is "
        "set, right?"
    )


def _writable(path: str) -> bool:
    try:
        with open(path, "ab"):
            return True
    except OSError:
        return False


def _check_file(name: str, path: str) -> None:
    """Check that a file can be read, before OpenSSL reports no more than a number."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            with open(path, "rb"):
                return
    except OSError as error:
        raise ConfigurationError(
            f"{name}: {path!r} cannot be read ({_why(error)}): expected a file of PEM certificates."
        ) from error
    found = "a directory" if stat.S_ISDIR(mode) else "not a file"
    raise ConfigurationError(f"{name}: {path!r} is {found}: expected a file of PEM certificates.")


def _check_directories(name: str, value: str) -> None:
    """Check that OpenSSL finds a certificate: it reads the directories only when it connects."""
    reason = f"no PEM certificate with a hashed name is in {value!r} (`openssl rehash` makes such names)"
    for path in filter(None, value.split(os.pathsep)):
        try:
            files = [file for file in Path(path).iterdir() if _HASH_NAME.fullmatch(file.name)]
            if any(_PEM.search(file.read_bytes()) for file in files):
                return
        except OSError as error:
            reason = f"{path!r} cannot be read ({_why(error)})"
    raise ConfigurationError(f"{name}: {reason}: expected a directory of certificates.")


def _no_certificate(name: str, path: str) -> ConfigurationError:
    return ConfigurationError(f"{name}: no usable PEM certificate is in {path!r}.")


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
