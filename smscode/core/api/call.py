"""The values that cross the seams: an endpoint, a call to it, its HTTP request, answer and result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from typing import Generic, Literal, TypeAlias, TypeVar, cast

from attrs import field, frozen

from ...errors import InvalidArgumentError
from ...models import EndpointGroup
from ...money import FxRate
from ..decoding import strict_json
from ..decoding.converter import Envelope, RowProblem
from ..versions import VERSIONS, ApiVersion
from .parameters import Parameter
from .prices import PriceLimit

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Method: TypeAlias = Literal["GET", "POST", "PATCH"]


class CallKind(Enum):
    """What sending a call twice would do; decides what may be repeated after a failure."""

    READ = "read"
    """Changes nothing."""
    CREATE = "create"
    """Buys, once per idempotency key."""
    TRANSITION = "transition"
    """Moves an order to a final state: a second time is refused, not done."""
    RESEND = "resend"
    """Acts again each time."""
    CONFIG = "config"
    """Sets a value: a second time changes nothing more."""
    TEST = "test"
    """Sends one visible event each time."""


@frozen
class Request:
    """An HTTP request as plain values. It holds no token: the shell adds that last."""

    method: Method
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = field(default=None, repr=False)


@frozen
class Response:
    """An HTTP response, whole: ``headers`` has lower-case names, ``body`` is decompressed.

    ``received_at`` is the local time of its arrival, used only where the service sent no ``Date``.
    """

    status_code: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    received_at: datetime | None = None


@frozen
class Endpoint(Generic[T_co]):
    """An operation of the API, described once.

    ``path`` is a template below the version prefix. ``result`` is the type of what a call returns; it is
    decoded from ``data`` as it stands unless ``decode`` turns the envelope into it. ``echoes`` is the field
    of the result that repeats the order which the call is about: another order there is not the answer.
    ``rows`` is the model of the rows where ``data`` is an array, which may be long; ``later``: they are read
    when they are wanted. ``money`` says that the v2 answer states amounts, so it needs a rate. ``query`` and
    ``fields`` are what a request may carry, ``refusals`` the error codes beyond those that every operation
    has. ``current_only``: only the current generation of the service has it.
    """

    name: str
    method: Method
    path: str
    group: EndpointGroup
    kind: CallKind
    result: type[T_co]
    decode: Callable[[Envelope], T_co] | None = None
    echoes: str | None = None
    money: bool = False
    query: tuple[Parameter, ...] = ()
    fields: tuple[Parameter, ...] = ()
    refusals: tuple[str, ...] = ()
    current_only: bool = False
    rows: type[object] | None = None
    later: bool = False

    def read(self, envelope: Envelope) -> T_co:
        """Return the result in a successful envelope. Raises `Mismatch` where it cannot be read."""
        if self.decode is not None:
            return self.decode(envelope)
        if self.rows is not None:
            return cast(T_co, envelope.rows(self.rows))
        result = envelope.one(self.result)
        if self.echoes is not None:
            envelope.echoed(self.echoes, getattr(result, self.echoes))
        return result


@frozen
class Call(Generic[T_co]):
    """One use of an endpoint, with checked arguments and nothing yet of an API version.

    ``fields`` are those of the request body; a `PriceLimit` among them is written as the API
    version wants it when the request is built, with the rate ``fx`` where it needs one. ``subject`` is
    the order that the call is about. ``frozen`` is a request that was built before, and for which version.
    """

    endpoint: Endpoint[T_co]
    path: str
    query: Mapping[str, int | str] = field(factory=dict[str, int | str])
    fields: Mapping[str, object] | None = None
    idempotency_key: str | None = None
    fx: FxRate | None = None
    subject: int | None = None
    frozen: tuple[ApiVersion, Request] | None = field(default=None, repr=False)

    def request(self, version: ApiVersion) -> Request:
        """Return the HTTP request; the same call and version always give the same bytes.

        Raises `InvalidArgumentError` when it was built before, for the other version.
        """
        if self.frozen is None:
            return self.request_of(version, self._body(version))
        made_for, request = self.frozen
        if made_for != version:
            raise InvalidArgumentError(
                f"intent: made by a client of API {made_for}, and this one speaks {version}: "
                f"submit it with a client that has api_version={made_for!r}."
            )
        return request

    def request_of(self, version: ApiVersion, body: bytes | None) -> Request:
        """Return the HTTP request with this body."""
        headers = [("accept", "application/json")]
        if body is not None:
            headers.append(("content-type", "application/json"))
        if self.idempotency_key is not None:
            headers.append(("idempotency-key", self.idempotency_key))
        query = tuple((name, str(value)) for name, value in self.query.items())
        return Request(
            self.endpoint.method, VERSIONS[version].prefix + self.path, query, tuple(headers), body
        )

    def _body(self, version: ApiVersion) -> bytes | None:
        if self.fields is None:
            return None
        limits = {
            name: VERSIONS[version].write(limit, self.fx)
            for name, limit in self.fields.items()
            if isinstance(limit, PriceLimit)
        }
        return strict_json.render({**self.fields, **limits})


@frozen
class Answer(Generic[T_co]):
    """A result with what came along.

    ``fx`` is the rate that its money was shown at, ``attempts`` how often the request was sent, ``date`` the
    service's time of the answer, and ``problems`` the rows of a list that could not be read.
    """

    data: T_co
    request_id: str | None
    status_code: int
    fx: FxRate | None
    attempts: int = 1
    date: datetime | None = None
    problems: tuple[RowProblem, ...] = ()
