"""Reads the environment: the proxy for the service, and the certificates to trust.

Nothing here connects. A setting that cannot be used is a `ConfigurationError` that names the variable, so
that it is not mistaken for a failure of the network.
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

import certifi

from .. import _exact
from ..core.api.arguments import is_host, is_loopback, wrong
from ..errors import ConfigurationError, InvalidArgumentError

_Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"

_PORTS = {"http": 80, "https": 443}
PROXY_SCHEMES: Final = ("http", "https", "socks5", "socks5h")
_PORT = re.compile(r":[0-9]+/?\Z")
_HASH_NAME = re.compile(r"[0-9a-f]{8}\.[0-9]+")  # the only names that OpenSSL looks for in a directory
_PEM = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----")
_LONGEST_SCHEME = 10
_SEPARATORS = re.compile(r"[,\s]+")


def environment_proxy(base_url: str, schemes: Collection[str] = PROXY_SCHEMES) -> str | None:
    """Return the URL of the proxy for an address by HTTPS_PROXY, ALL_PROXY and NO_PROXY, None without one.

    ``schemes`` are those of the proxies that can be used. An address with http never has a proxy: plain http
    is only for this machine or a sandbox, and the token must not go elsewhere. Raises `ConfigurationError` if
    the variable cannot be used.
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


def given_proxy(value: object, base_url: str, schemes: Collection[str] = PROXY_SCHEMES) -> str:
    """Check the ``proxy`` argument of a client, and return the proxy's URL. No message shows it.

    Raises `InvalidArgumentError` if it cannot be used, or if the service's address is not https: over http
    the proxy would get the token. Raises `ConfigurationError` if the package for SOCKS is missing.
    """
    url = _exact.text(value)
    if url is None:
        raise wrong("proxy", "a URL", value)
    if not base_url.startswith("https:"):
        raise InvalidArgumentError("proxy: expected an https address of the service, as a proxy reads http.")
    if "://" not in url and not _PORT.search(url):
        forms = ", ".join(f"{scheme}://host:port" for scheme in schemes)
        raise InvalidArgumentError(
            f"proxy: expected one of {forms}, or host:port, which is http; found neither a scheme nor a port."
        )
    return _usable_proxy("proxy", url, schemes, InvalidArgumentError)


def _variable(name: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return a variable's name as it is spelled, and its value; None if it is empty or not set.

    As in Python's own libraries, the spelling in lower case comes first. If the variable of a proxy is set
    and empty in lower case, there is no proxy, whatever the other spelling says.
    """
    if name in environ and name != "no_proxy":
        return (name, environ[name]) if environ[name] else None
    for spelled, value in sorted(environ.items(), reverse=True):
        if value and spelled.lower() == name:
            return spelled, value
    return None


def _system_proxy(host: str, schemes: Collection[str]) -> str | None:
    """Return the proxy of the settings of Windows or macOS, None without one."""
    proxy = urllib.request.getproxies().get("https")
    if proxy is None or urllib.request.proxy_bypass(host):
        return None
    return _usable_proxy("The proxy of the system's settings", proxy, schemes)


def _usable_proxy(
    name: str,
    value: str,
    schemes: Collection[str],
    wrong_url: type[ConfigurationError | InvalidArgumentError] = ConfigurationError,
) -> str:
    """Check a proxy's URL and return it with its scheme. No message shows it, as it may hold a password."""
    if not value.isprintable() or " " in value:
        raise wrong_url(f"{name}: expected a proxy's URL without spaces or line ends.")
    # Many environments leave the scheme out, as curl allows; httpx needs it.
    scheme, has_scheme, rest = value.partition("://")
    if not has_scheme:
        scheme, rest = "http", value
    scheme = scheme.lower()
    if scheme not in schemes:
        # A password may be in the place of the scheme, so only a short plain word is shown.
        shown = f" {scheme!r}" if len(scheme) <= _LONGEST_SCHEME and scheme.isalnum() else ""
        raise wrong_url(
            f"{name}: the proxy's scheme{shown} is not supported: expected one of {', '.join(schemes)}."
        )
    url = f"{scheme}://{rest}"
    if not _names_a_host(url) or not (has_scheme or "/" not in rest.removesuffix("/")):
        raise wrong_url(
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
    import httpx  # only where there is a proxy

    try:
        parts = urlsplit(url)
        httpx.Proxy(url)
        return parts.hostname is not None and is_host(_ascii(parts.hostname)) and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        return False


def is_excepted(host: str, port: int, no_proxy: str) -> bool:
    """Return True if a value of NO_PROXY excludes a host, by the rules of Go's httpproxy.

    Its entries are host names (with all names below them), ``.suffix`` or ``*.suffix`` (only the names
    below), IP addresses, networks (``10.0.0.0/8``) or ``*``; names and addresses may end in a port. An
    invalid entry is ignored. Unlike in Go, spaces separate entries, too, and an IPv6 address without a port
    may have brackets.
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
    """Return an entry's host and its port, empty without one."""
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
    """Return an IP address, None if it is none; one of IPv4 in IPv6 notation becomes the IPv4 address."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _ascii(name: str) -> str:
    """Return a host name as it is sent. An invalid name stays as it is, and matches nothing."""
    try:
        dot = "." if name.startswith(".") else ""
        return dot + name.removeprefix(".").encode("idna").decode("ascii")
    except UnicodeError:
        return name


def ssl_context(base_url: str, *, trust_env: bool = True) -> ssl.SSLContext:
    """Return the TLS settings for an address; for http no certificates are loaded.

    The certificates to trust are those of SSL_CERT_FILE or SSL_CERT_DIR if one of them is set, else, and
    without ``trust_env``, those of certifi. Raises `ConfigurationError` if they cannot be used.
    """
    if not base_url.startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    environ: Mapping[str, str] = os.environ if trust_env else {}
    file, directory = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    if file:
        _check_file("SSL_CERT_FILE", file)
    elif directory:
        _check_directories("SSL_CERT_DIR", directory)
    try:
        if trust_env:
            context = ssl.create_default_context(
                cafile=file or (None if directory else certifi.where()), capath=None if file else directory
            )
        else:
            # `create_default_context` reads SSLKEYLOGFILE; since Python 3.13 it sets these flags, too.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(certifi.where())
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    except OSError as error:
        raise _unusable(error, file) from error
    if file and not context.cert_store_stats()["x509"]:
        raise _no_certificate("SSL_CERT_FILE", file)
    return context


def _unusable(error: OSError, file: str | None) -> ConfigurationError:
    """Return the error for TLS settings that cannot be made; it names the variable, if one is the cause."""
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
    """Check that a file can be read, as OpenSSL reports no more than a number."""
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
    """Check that a directory has a certificate, as OpenSSL reads them only when it connects."""
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
