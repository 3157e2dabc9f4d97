"""What a page of 10,000 products costs to decode, from its bytes to the package's own models."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any
from unittest.mock import patch

import attrs
import cattrs

from smscode import calls
from smscode.core import answers as reading
from smscode.core.api.call import Response
from smscode.core.decoding import columns, rows_msgspec
from smscode.core.versions import ApiVersion

from . import answers, machine, vendor
from .measure import Contestant, cpu_of, interleave
from .server import running
from .suite import Figure, Setup

NEEDED: dict[str, Any] = {"id": int, "available": int, "active": bool}
OPTIONAL: dict[str, Any] = {
    "name": str | None,
    **dict.fromkeys(("country_id", "platform_id", "catalog_product_id", "operator_id"), int | None),
    "operator_name": str | None,
}
_field: Any = attrs.field
VERSIONS: tuple[ApiVersion, ...] = ("v1", "v2")


@attrs.frozen
class Price:
    amount: Decimal
    currency: str
    canonical_amount: int
    canonical_currency: str


@attrs.frozen
class Rate:
    pair: str
    rate: int
    rate_as_of: datetime | None


@attrs.frozen
class Meta:
    page: int
    limit: int
    count: int
    fx: Rate | None = None


def envelope(price: type) -> type:
    """Make plain attrs classes of an answer, without a rule of their own: the least that typed rows cost."""
    product = attrs.make_class(
        "Product",
        {name: _field(type=kind) for name, kind in {**NEEDED, "price": price}.items()}
        | {name: _field(type=kind, default=None) for name, kind in OPTIONAL.items()},
        frozen=True,
    )
    parts = {"success": bool, "data": list.__class_getitem__(product), "meta": Meta}
    return attrs.make_class(
        "Envelope", {name: _field(type=kind) for name, kind in parts.items()}, frozen=True
    )


def read(version: ApiVersion, body: bytes) -> None:
    """Decode as a client does, without the pauses."""
    for _ in reading.read(calls.catalog.products(), Response(200, {}, body), version):
        pass


def read_plainly(version: ApiVersion, body: bytes) -> None:
    """Decode as a client does that has no msgspec."""
    with patch.object(rows_msgspec, "library", return_value=None):
        read(version, body)


def read_afresh(version: ApiVersion, body: bytes) -> None:
    """Decode as a client does that remembers no price."""
    columns.columns.cache_clear()
    read(version, body)


def decoders(version: ApiVersion) -> Mapping[str, Callable[[bytes], object]]:
    """Return what decodes a body, by name."""
    classes: Any = envelope({"v1": int, "v2": Price}[version])
    converter = cattrs.Converter()
    converter.register_structure_hook(datetime, lambda value, _: datetime.fromisoformat(value))
    converter.register_structure_hook(Decimal, lambda value, _: Decimal(value))
    found: dict[str, Callable[[bytes], object]] = {
        "this without extras": partial(read_plainly, version),
        "json + cattrs": lambda body: converter.structure(json.loads(body), classes),
    }
    if machine.has("msgspec"):
        import msgspec

        found["this with fast"] = partial(read, version)
        found["this with fast, no price seen before"] = partial(read_afresh, version)
        found["msgspec typed floor"] = msgspec.json.Decoder(classes).decode
    if machine.has("orjson"):
        import orjson

        found["orjson, no types"] = orjson.loads
    if machine.has("pydantic"):
        import pydantic

        found["pydantic"] = pydantic.TypeAdapter(_models(pydantic, version)).validate_json
    return found


def _models(pydantic: Any, version: ApiVersion) -> Any:
    make = pydantic.create_model
    amounts = {"amount": Decimal, "currency": str, "canonical_amount": int, "canonical_currency": str}
    price = int if version == "v1" else make("Price", **_needed(amounts))
    optional = {name: (kind, None) for name, kind in OPTIONAL.items()}
    product = make("Product", **_needed({**NEEDED, "price": price}), **optional)
    meta = make("Meta", **_needed(dict.fromkeys(("page", "limit", "count"), int)))
    rows = list.__class_getitem__(product)
    return make("Envelope", **_needed({"success": bool, "data": rows, "meta": meta}))


def _needed(kinds: Mapping[str, Any]) -> dict[str, Any]:
    return {name: (kind, ...) for name, kind in kinds.items()}


def run(setup: Setup) -> Iterator[Figure]:
    """Compare this package with and without msgspec, and with what others make of the same bytes."""
    rounds, rows = setup.pick((21, 10_000), (7, 10_000), (1, 200))
    for version in VERSIONS:
        body = answers.products(version, 1, rows)
        contestants: dict[str, Contestant] = {
            name: partial(cpu_of, partial(decode, body)) for name, decode in decoders(version).items()
        }
        with ExitStack() as stack:
            if setup.vendor:
                url = stack.enter_context(running({f"GET /{version}/catalog/products": body}))
                sdk = stack.enter_context(vendor.Vendor(setup.vendor, url))
                contestants["vendor's SDK"] = partial(sdk.ask, "decodes", int(version[1:]), rows)
            found = interleave(contestants, rounds)
        what = f"decode {rows:,} products of {version}"
        parts = found.show("ms", 1e3)
        if "this with fast" in contestants:
            yield Figure(
                f"{what}: with fast / msgspec typed floor",
                found.ratio("this with fast", "msgspec typed floor"),
                1.5,
                parts=parts,
            )
        if "vendor's SDK" in contestants:
            yield Figure(
                f"{what}: without extras / vendor's SDK",
                found.ratio("this without extras", "vendor's SDK"),
                0.6,
                parts=parts,
            )
        yield Figure(
            f"{what}: without extras / json + cattrs", found.ratio("this without extras", "json + cattrs")
        )
