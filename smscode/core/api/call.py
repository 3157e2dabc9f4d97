"""The values of a call: its endpoint, arguments, HTTP request, response and answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar, cast

from attrs import field, frozen

from ..._first_models import EndpointGroup
from ..._value import Value
from ...errors import InvalidArgumentError, JsonValue
from ...money import FxRate
from ..decoding import strict_json
from ..decoding.converter import Envelope, RowProblem
from ..versions import VERSIONS, ApiVersion

if TYPE_CHECKING:
    from .parameters import Parameter

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Method: TypeAlias = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class CallKind(Enum):
    """What sending a call twice would do. This decides whether it is repeated after a failure."""

    READ = "read"
    """Changes nothing."""
    CREATE = "create"
    """Buys, once per idempotency key."""
    TRANSITION = "transition"
    """Moves an order to a final state: a second request is refused."""
    RESEND = "resend"
    """Has an effect each time."""
    CONFIG = "config"
    """Sets a value: a second request changes nothing more."""
    TEST = "test"
    """Sends one visible event each time."""
    OTHER = "other"
    """Not known: it is never repeated."""


@frozen(eq=False, repr=False)
class Request(Value):
    """An HTTP request as plain values, without the token: the shell adds that."""

    method: Method
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = field(default=None, repr=False)


@frozen(eq=False, repr=False)
class Response(Value):
    """An HTTP response, whole: ``headers`` has lower-case names, ``body`` is decompressed.

    ``received_at`` is the local time of its arrival, used only if the service sent no ``Date``.
    """

    status_code: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    received_at: datetime | None = None


@frozen(eq=False, repr=False)
class Endpoint(Value, Generic[T_co]):
    """An operation of the API, described once.

    ``path`` is a template, without the version. ``result`` is the type of a call's result; it is decoded from
    ``data`` unless ``decode`` makes it from the whole envelope. ``echoes`` is the field of the result that
    must repeat the id of the call's order. ``rows`` is the model of the rows if ``data`` is an array, which
    may be long; with ``later`` they are decoded during iteration. With ``any_data``, nothing is known about
    ``data``, which may be missing. ``money`` is True if the v2 answer states amounts, so the service needs an
    exchange rate. ``query`` and ``fields`` are the parameters of a request, ``refusals`` the error codes
    besides those of every operation. ``current_only`` is True if only the current generation of the service
    has the endpoint.
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
    any_data: bool = False

    def read(self, envelope: Envelope) -> T_co:
        """Return the result in a successful envelope. Raises `Mismatch` if it cannot be read."""
        if self.decode is not None:
            return self.decode(envelope)
        if self.rows is not None:
            return cast(T_co, envelope.rows(self.rows))
        result = envelope.one(self.result)
        if self.echoes is not None:
            envelope.echoed(self.echoes, getattr(result, self.echoes))
        return result


@frozen(eq=False, repr=False)
class Call(Value, Generic[T_co]):
    """One use of an endpoint with checked arguments, for any API version.

    ``fields`` are those of the request body; a `PriceLimit` among them is written for the API version when
    the request is built, with the rate ``fx`` if it needs one. ``subject`` is the id of the order that the
    call is about. ``frozen`` is a request that was built before, and its version.
    """

    endpoint: Endpoint[T_co]
    path: str
    query: Mapping[str, int | str] = field(factory=dict[str, int | str])
    fields: Mapping[str, object] | None = field(default=None, repr=False)
    idempotency_key: str | None = None
    fx: FxRate | None = None
    subject: int | None = None
    frozen: tuple[ApiVersion, Request] | None = field(default=None, repr=False)

    def request(self, version: ApiVersion) -> Request:
        """Return the HTTP request; the same call and version always result in the same bytes.

        Raises `InvalidArgumentError` if it was built before for another version, or if a price limit cannot
        be written for this one.
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
        from .prices import PriceLimit

        limits = {
            name: VERSIONS[version].write(limit, self.fx)
            for name, limit in self.fields.items()
            if isinstance(limit, PriceLimit)
        }
        return strict_json.render({**self.fields, **limits})


@frozen(eq=False, repr=False)
class Answer(Value, Generic[T_co]):
    """The result of a call, as ``data``, and the facts of its response.

    ``fx`` is the exchange rate of its amounts, ``attempts`` the number of requests that were sent, ``date``
    the service's time of the answer, and ``problems`` the rows of a list that could not be read. ``headers``
    have lower-case names, and contain neither the token nor cookies; ``body`` are the decompressed bytes.
    """

    data: T_co
    request_id: str | None
    status_code: int
    fx: FxRate | None
    attempts: int = 1
    date: datetime | None = None
    problems: tuple[RowProblem, ...] = ()
    headers: Mapping[str, str] = field(factory=dict[str, str], repr=False, hash=False)
    body: bytes = field(default=b"", repr=False, hash=False)

    @property
    def raw(self) -> JsonValue:
        """The whole body as the service sent it, also fields that the models lack; None if it was empty.

        It is parsed each time; numbers with a fraction are `Decimal`. Phone numbers and codes are in it.
        """
        return strict_json.parse(self.body) if self.body else None
