"""``smscode doctor``: checks this machine, the account and the service."""

from __future__ import annotations

import importlib.metadata
import os
import ssl
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

import typer
from attrs import asdict, frozen

from .. import calls
from .._http.environment import environment_proxy
from .._sync.client import Client
from .._vendor import ADVICE, beside
from .._version import DISTRIBUTION, VERSION
from ..core.settings import Settings
from ..errors import (
    ConfigurationError,
    FxRateUnavailableError,
    RateLimitError,
    SmscodeError,
    UnauthorizedError,
)
from . import tls
from .command import command
from .error_report import ErrorReport
from .exits import Exit
from .orders import JournalPath
from .screen import day
from .session import Session, check_address

CheckState: TypeAlias = Literal["ok", "warn", "fail"]

app: typer.Typer = typer.Typer()

_LARGEST_DRIFT = 5.0  # seconds
_FEW_DAYS = 14  # days until a certificate expires that are worth a warning
_REFUSED = "Nothing listens there: is SMSCODE_BASE_URL right, and if it is a sandbox, does it still run?"


@frozen
class Finding:
    """The result of a check, and what to do about it."""

    state: CheckState
    check: str
    message: str


@command(app, "doctor", panel="Try and check")
def doctor(session: Session, journal: JournalPath = None) -> int:
    """Check token, connection, clock, rate, limits, journal and webhook; each with what to do."""
    findings: list[Finding] = []
    screen = session.screen
    for finding in _findings(session, journal):
        findings.append(finding)
        if not screen.as_json:
            screen.check(finding.state, finding.check, finding.message)
    if screen.as_json:
        screen.rows([asdict(finding) for finding in findings], (), ())
    return Exit.FAILED if any(finding.state == "fail" for finding in findings) else Exit.OK


def _findings(session: Session, journal: Path | None) -> Iterator[Finding]:
    yield _package()
    try:
        base_url = session.settings.base_url
    except SmscodeError as error:
        yield Finding("fail", "token", " ".join(ErrorReport(error, "").lines))
        yield from _without_token(session)
        return
    yield _tls(session, base_url)
    with session.client() as client:
        refused: list[RateLimitError] = []
        for check in (_account, _rate, _webhook):
            try:
                yield from check(session, client)
            except RateLimitError as error:
                refused.append(error)
            except SmscodeError as error:
                name = "token" if isinstance(error, UnauthorizedError) else check.__name__.strip("_")
                report = ErrorReport(error, "", hint=session.hint(error))
                yield Finding("fail", name, " ".join(report.lines))
                break
        else:
            yield _limits(refused)
    yield _journal(session, journal)


def _without_token(session: Session) -> Iterator[Finding]:
    """Check what needs no token: the connection."""
    try:
        check_address(os.environ)
        base_url = Settings.resolve("none", None, session.version, os.environ).base_url
    except SmscodeError as error:
        yield Finding("fail", "address", error.message)
    else:
        yield _tls(session, base_url)


def _package() -> Finding:
    """Check that the vendor's SDK, which has the same import name, is not installed beside this package."""
    found = beside(sys.modules["smscode"])
    if found is None:
        try:
            vendor = importlib.metadata.version("smscode")
        except importlib.metadata.PackageNotFoundError:
            return Finding("ok", "package", f"{DISTRIBUTION} {VERSION}")
        found = (
            f"The vendor's SDK (smscode {vendor}) is installed in another place than {DISTRIBUTION}"
            f" {VERSION}, which is what is imported here. {ADVICE}"
        )
    return Finding("fail", "package", found)


def _tls(session: Session, base_url: str) -> Finding:
    if session.sandboxed:
        return Finding("ok", "tls", "a sandbox inside this command: no connection is made")
    if not base_url.startswith("https:"):
        return _plain_http(base_url)
    try:
        if environment_proxy(base_url) is not None:
            return Finding("warn", "tls", "A proxy is set in the environment (HTTPS_PROXY): not looked at.")
        found = tls.inspect(base_url)
    except ConfigurationError as error:
        return Finding("fail", "tls", error.message)
    except OSError as error:
        hint = "Is the network there, and the address right?"
        if isinstance(error, ssl.SSLError):
            hint = "Is the clock right, and the certifi package recent?"
        elif "refused" in str(error):
            hint = _REFUSED
        return Finding("fail", "tls", f"No connection to {base_url} ({error}). {hint}")
    message = f"{found.protocol} to {base_url}, its certificate is good for {found.days_left} days"
    return Finding("ok" if found.days_left >= _FEW_DAYS else "warn", "tls", message)


def _plain_http(base_url: str) -> Finding:
    try:
        tls.connect(base_url).close()
    except OSError as error:
        return Finding("fail", "tls", f"No connection to {base_url} ({error}). {_REFUSED}")
    return Finding("ok", "tls", f"{base_url} is on this machine: none is needed")


def _account(session: Session, client: Client) -> Iterator[Finding]:
    """Read the balance, which checks the token, and the clock by the date of the answer."""
    answer = client.send(calls.balance.get())
    yield Finding("ok", "token", f"accepted by API {session.version}")
    assert answer.date is not None
    drift = (datetime.now(UTC) - answer.date).total_seconds()
    if abs(drift) <= _LARGEST_DRIFT:
        yield Finding("ok", "clock", "agrees with the service's")
    else:
        way = "ahead of" if drift > 0 else "behind"
        yield Finding(
            "warn", "clock", f"{abs(drift):.0f} s {way} the service's. Set it by a time server (NTP)."
        )
    balance = answer.data.balance
    if balance.canonical_amount > 0:
        yield Finding("ok", "balance", str(balance))
    else:
        yield Finding("warn", "balance", f"{balance}: top up before renting.")


def _rate(session: Session, client: Client) -> Iterator[Finding]:
    try:
        rate = client.catalog.exchange_rate()
    except FxRateUnavailableError:
        yield Finding("warn", "rate", "There is none now, so API v2 has no prices. Use --api-version v1.")
    else:
        yield Finding("ok", "rate", f"{rate.rate:,} IDR for a dollar")


def _webhook(session: Session, client: Client) -> Iterator[Finding]:
    found = client.webhook.get()
    if not found.webhook_url:
        yield Finding("ok", "webhook", "not set: codes are asked for instead")
    elif found.webhook_disabled_at is not None:
        since = f"switched off by the service since {day(found.webhook_disabled_at)}"
        yield Finding("fail", "webhook", f"{since}. Mend the receiver, then `smscode webhook set URL` again.")
    elif not found.webhook_secret:
        yield Finding("warn", "webhook", "It has no secret, so it cannot be checked: `smscode webhook set`.")
    elif found.webhook_consecutive_failures:
        failed = f"The last {found.webhook_consecutive_failures} deliveries failed"
        yield Finding("warn", "webhook", f"{failed}. `smscode webhook test` tries it.")
    else:
        yield Finding("ok", "webhook", f"goes to {found.webhook_url}")


def _limits(refused: list[RateLimitError]) -> Finding:
    if not refused:
        return Finding("ok", "limits", "nothing is refused for now")
    wait = max(error.retry_after or 0.0 for error in refused)
    return Finding("warn", "limits", f"Too many requests: wait {wait:.0f} s, or send fewer.")


def _journal(session: Session, path: Path | None) -> Finding:
    try:
        with session.journal(path) as journal:
            left = [] if journal is None else journal.records(session.settings.account, ended=True)
    except SmscodeError as error:
        return Finding("fail", "journal", f"{error.message} Give --journal, or set SMSCODE_JOURNAL.")
    if left:
        return Finding("warn", "journal", f"{len(left)} purchase(s) unfinished: `smscode recover`.")
    return Finding("ok", "journal", "no purchase is unfinished")
