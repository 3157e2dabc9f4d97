"""A sandbox's whole state as one JSON text, and back.

Values that can be computed from the rest are not stored: the balance, the open orders, the scheduled steps,
the numbers in use. Neither are those of the process: requests that wait for an answer, and the functions
that were passed to the sandbox.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from operator import attrgetter
from types import SimpleNamespace
from typing import Any, Final

from attrs import evolve
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, override
from cattrs.preconf.json import make_converter
from cattrs.strategies import configure_tagged_union

from ...models import EndpointGroup
from ...money import FxRate
from ..control.history import Entry, SettingChanged
from ..http.api_error import Problem
from ..http.app import App
from ..http.idempotency import KeyRecord, KeyScope
from ..options import Options
from ..scenarios.selection import ScenarioChoice, ScenarioPlace
from ..service.catalog import Tier
from ..service.ledger import Movement
from ..service.order_book import Rules
from ..service.orders import ServiceOrder
from ..service.purchases import OrderRequest, ReactivationRequest, Settling
from ..service.suppliers import Behaviour
from ..service.webhooks import Delivery, ServiceEvent, Webhook

MARK: Final = "smscode_sandbox"
"""The key of the version, which distinguishes a snapshot from other JSON."""
VERSION: Final = 3
"""The version of `PARTS` and their types. Version 1 was a SQLite file, version 2 had other names."""

PARTS: Final[Mapping[str, Any]] = {
    "clock.ahead": timedelta,
    "clock.latest": datetime,
    "answered": int,
    "requests": list[tuple[str, int]],
    "deliveries": list[Delivery],
    "history.total": int,
    "history.entries": list[Entry],
    "limits.taken": list[tuple[EndpointGroup, deque[datetime]]],
    "selection.choices": list[tuple[ScenarioPlace, list[ScenarioChoice]]],
    "selection.chosen": int,
    "world.rules": Rules,
    "world.behaviour": Behaviour,
    "world.suspended": bool,
    "world.maintenance": int | None,
    "world.fx": FxRate | None,
    "world.purchases": int,
    "world.secrets": int,
    "world.canceled": tuple[int, int],
    "world.orders": list[tuple[int, ServiceOrder]],
    "world.settling": list[tuple[int, Settling]],
    "world.keys.records": list[tuple[tuple[KeyScope, str], KeyRecord]],
    "world.ledger.movements": list[Movement],
    "world.success_rates.days": list[tuple[tuple[str, int], tuple[int, int]]],
    "world.abuse_record.ended": list[tuple[datetime, bool]],
    "world.abuse_record.banned_until": datetime | None,
    "world.catalog.stock": list[int],
    "world.webhook": Webhook,
    "world.outbox": list[ServiceEvent],
    "world.delivery_queue.total": int,
    "world.delivery_queue.waiting": list[tuple[int, tuple[datetime, Delivery]]],
    "world.delivery_queue.in_flight": list[tuple[int, Delivery]],
}
"""The attributes of an `App` that are stored, and their types in JSON. A dict is a list of its pairs."""

_SEPARATOR: Final = ",\n"
_MICROSECOND: Final = timedelta(microseconds=1)


def copy_parts(app: App) -> dict[str, Any]:
    """Return a copy of the state's parts; the caller holds the app's lock.

    Only this needs the lock. Everything slower, such as the conversion to JSON, happens after it.
    """
    return {path: _copy(attrgetter(path)(app)) for path in PARTS}


def lines(options: Options, parts: Mapping[str, Any], converter: Converter) -> Iterator[str]:
    """Yield the text of a snapshot in pieces, so that other threads can run between them."""
    yield f'{{"{MARK}": {VERSION},\n"options": {json.dumps(converter.unstructure(options))}'
    for path, part in parts.items():
        plain: Any = converter.unstructure(part, PARTS[path])
        yield f',\n"{path}": '
        yield (
            f"[{_SEPARATOR.join(map(json.dumps, plain))}]" if hasattr(plain, "append") else json.dumps(plain)
        )
    yield "}\n"


def restore(app: App, found: Mapping[str, Any], converter: Converter) -> None:
    """Replace the state by the parts of a snapshot. Raises if they do not fit."""
    root = SimpleNamespace(app=app)  # so that every path, "app.world" too, has an owner
    if unfit := found.keys() ^ {MARK, "options", *PARTS}:
        raise ValueError(f"missing or unknown: {', '.join(sorted(unfit))}")
    for path, type_ in PARTS.items():
        value = converter.structure(found[path], type_)
        held: Any = attrgetter(path)(app)
        # Containers are filled in place: a deque keeps its limit, a Counter its type.
        if hasattr(held, "clear"):
            held.clear()
            held.extend(value) if hasattr(held, "extend") else held.update(dict(value))
        else:
            owner, _, name = f"app.{path}".rpartition(".")
            setattr(attrgetter(owner)(root), name, value)
    world = app.world
    world.ledger.balance = sum(movement.amount for movement in world.ledger.movements)
    world.abuse_record.failed = sum(failed for _, failed in world.abuse_record.ended)
    world.index()
    world.delivery_queue.index(app.clock())


def make_snapshot_converter(tiers: Mapping[int, Tier]) -> Converter:
    """Return the converter of the state's values. Defaults are left out; tiers are stored as their ids."""

    def tier(id_: int, _: object) -> Tier:
        return tiers[id_]

    converter = make_converter(omit_if_default=True)
    converter.register_unstructure_hook(Tier, lambda tier: tier.id)
    converter.register_structure_hook(Tier, tier)
    converter.register_unstructure_hook(timedelta, lambda time: time // _MICROSECOND)
    converter.register_structure_hook(timedelta, lambda number, _: number * _MICROSECOND)
    # The bodies of webhooks are JSON, so they stay readable.
    converter.register_unstructure_hook(bytes, lambda body: body.decode())
    converter.register_structure_hook(bytes, lambda text, _: text.encode())
    as_it_is = override(struct_hook=lambda value, _: value)
    converter.register_structure_hook(Problem, make_dict_structure_fn(Problem, converter, details=as_it_is))
    converter.register_structure_hook(
        SettingChanged, make_dict_structure_fn(SettingChanged, converter, value=as_it_is)
    )
    configure_tagged_union(OrderRequest | ReactivationRequest, converter)
    configure_tagged_union(Entry, converter)
    return converter


def _copy(value: Any) -> Any:
    """Copy a value that can change. In an ended order only what `World.index` computes can."""
    if hasattr(value, "items"):
        return [(key, _copy(item)) for key, item in value.items()]
    if hasattr(value, "append"):
        return [_copy(item) for item in value]
    if isinstance(value, ScenarioChoice | Webhook) or (
        isinstance(value, ServiceOrder) and not value.status.terminal
    ):
        return evolve(value)
    return value
