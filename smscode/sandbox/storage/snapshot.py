"""A sandbox's whole state as entries of text, and which of them changed.

What follows from the rest is not kept: the open orders, what is due, the numbers in use. Nor is what
only lives with the process: requests that wait for an answer, and the functions that a sandbox is given.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar, cast

from attrs import evolve, frozen
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, override
from cattrs.preconf.json import make_converter
from cattrs.strategies import configure_tagged_union

from ...money import FxRate
from ..clock import Clock
from ..control.history import Entry, SettingChanged
from ..http.api_error import Problem
from ..http.app import App
from ..http.idempotency import KeyRecord, KeyScope
from ..options import Options
from ..scenarios.selection import ScenarioChoice
from ..service.catalog import Catalog, Tier
from ..service.ledger import Movement
from ..service.order_book import Rules
from ..service.orders import ServiceOrder
from ..service.purchases import Settling
from ..service.routing import Again, OrderRequest
from ..service.suppliers import Behaviour
from ..service.webhooks import Delivery, ServiceEvent, Webhook
from ..service.world import World
from .parts import Coder, LogShelf, MapShelf, PartShelf, QueueShelf, Shelf
from .tracking import Numbered, Tracked, telling

V = TypeVar("V")

OPTIONS: Final = "options/"
"""The entry that says what the sandbox was made with."""
_MICROSECOND: Final = timedelta(microseconds=1)


@frozen
class Rest:
    """The single values of a `World`."""

    behaviour: Behaviour
    suspended: bool
    maintenance: int | None
    purchases: int
    secrets: int
    canceled: tuple[int, int]
    posted: int
    fx: FxRate | None
    banned_until: datetime | None

    @classmethod
    def of(cls, world: World) -> Rest:
        """Read them from a world."""
        return cls(
            world.behaviour,
            world.suspended,
            world.maintenance,
            world.purchases,
            world.secrets,
            world.canceled,
            world.postbox.posted,
            world.fx,
            world.conduct.banned_until,
        )

    def put_into(self, world: World) -> None:
        """Write them to a world."""
        world.behaviour = self.behaviour
        world.suspended = self.suspended
        world.maintenance = self.maintenance
        world.purchases = self.purchases
        world.secrets = self.secrets
        world.canceled = self.canceled
        world.postbox.posted = self.posted
        world.fx = self.fx
        world.conduct.banned_until = self.banned_until


@frozen
class Tally:
    """What an `App` counted."""

    answered: int
    requests: dict[str, int]
    told: int

    @classmethod
    def of(cls, app: App) -> Tally:
        """Read it off."""
        return cls(app.answered, dict(app.requests), app.history.total)

    def put_into(self, app: App) -> None:
        """Continue the app's counters from here."""
        app.answered = self.answered
        app.requests.update(self.requests)
        app.history.total = self.told


def _converter(catalog: Catalog) -> Converter:
    """Make the converter of the state's values. What has its default is left out; tiers go by their ids."""

    def tier(id_: int, _: object) -> Tier:
        return catalog.tiers[id_]

    converter = make_converter(omit_if_default=True)
    converter.register_unstructure_hook(Tier, lambda tier: tier.id)
    converter.register_structure_hook(Tier, tier)
    # The bodies of webhooks are JSON, which people can read.
    converter.register_unstructure_hook(bytes, lambda body: body.decode())
    converter.register_structure_hook(bytes, lambda text, _: text.encode())
    as_it_is = override(struct_hook=lambda value, _: value)
    converter.register_structure_hook(Problem, make_dict_structure_fn(Problem, converter, details=as_it_is))
    converter.register_structure_hook(
        SettingChanged, make_dict_structure_fn(SettingChanged, converter, value=as_it_is)
    )
    configure_tagged_union(OrderRequest | Again, converter)
    configure_tagged_union(Entry, converter)
    return converter


def read_options(text: str) -> Options:
    """Return what a kept sandbox was made with."""
    return make_converter().loads(text, Options)


class Keeper:
    """Splits the state of a sandbox, and joins it again.

    From now on the sandbox's containers remember what changes in them.
    """

    def __init__(self, app: App, clock: Clock, options: Options) -> None:
        self.world: World = app.world
        self._shelves: dict[str, Shelf] = {
            shelf.kind: shelf for shelf in _shelves(app, clock, options, _converter(app.world.catalog))
        }

    def restore(self, entries: Iterable[tuple[str, str]], clock: Clock) -> None:
        """Restore a whole state, in place of the one that is there."""
        found: dict[str, dict[str, Any]] = {kind: {} for kind in self._shelves}
        for entry, text in entries:
            kind, _, name = entry.partition("/")
            found[kind][name] = json.loads(text)
        for kind, shelf in self._shelves.items():
            shelf.load(found[kind])
        world = self.world
        world.ledger.balance = sum(movement.amount for movement in world.ledger.movements)
        world.conduct.failed = sum(failed for _, failed in world.conduct.ended)
        world.index()
        self.forget()
        world.postbox.index(clock.latest)

    def changes(self) -> tuple[dict[str, str | None], bool]:
        """Return the entries that changed, None for those that are gone, and if any of them must last."""
        changed = {kind: list(shelf.changes()) for kind, shelf in self._shelves.items()}
        lasting = any(changed[kind] and shelf.lasting for kind, shelf in self._shelves.items())
        entries = {
            f"{kind}/{name}": None if value is None else json.dumps(value)
            for kind, found in changed.items()
            for name, value in found
        }
        # That it is later is no change: time goes on by itself.
        return ({}, False) if entries.keys() == {"latest/"} else (entries, lasting)

    def whole(self) -> dict[str, str]:
        """Return all entries."""
        return {
            f"{kind}/{name}": json.dumps(value)
            for kind, shelf in self._shelves.items()
            for name, value in shelf.whole()
        }

    def forget(self) -> None:
        """Mark all changes as kept."""
        for shelf in self._shelves.values():
            shelf.forget()


def _shelves(app: App, clock: Clock, options: Options, converter: Converter) -> list[Shelf]:
    world = app.world

    def coder(type_: type[V], made: type[V] | None = None) -> Coder[V]:
        return Coder(
            lambda value: converter.unstructure(value, unstructure_as=type_),
            lambda entry: converter.structure(entry, made or type_),
        )

    orders = world.orders = Tracked(world.orders)
    world.order_type = telling(orders.changed.add)
    records = world.keys.records = Tracked(world.keys.records)
    settling = world.settling = Tracked(world.settling)
    days = world.success.days = Tracked(world.success.days)
    waiting = world.postbox.waiting = Tracked(world.postbox.waiting)
    under_way = world.postbox.under_way = Tracked(world.postbox.under_way)
    ended = world.conduct.ended = Numbered(world.conduct.ended)
    entry: Any = Entry  # a union is no type, but as good as one here
    told = app.history.entries = Numbered(app.history.entries)
    shelves: list[Shelf] = [
        PartShelf("options", coder(Options), lambda: options, lambda _: None),
        PartShelf("rules", coder(Rules), lambda: world.rules, partial(setattr, world, "rules")),
        PartShelf("rest", coder(Rest), partial(Rest.of, world), lambda rest: rest.put_into(world)),
        PartShelf(
            "webhook", coder(Webhook), lambda: evolve(world.webhook), partial(setattr, world, "webhook")
        ),
        PartShelf(
            "outbox", coder(list[ServiceEvent]), lambda: list(world.outbox), partial(setattr, world, "outbox")
        ),
        PartShelf("stock", coder(dict[int, int]), partial(_stock, world), partial(_put_stock, world)),
        PartShelf(
            "cues", coder(list[ScenarioChoice]), lambda: [*map(evolve, app.stage.all())], app.stage.restore
        ),
        PartShelf(
            "tally", coder(Tally), partial(Tally.of, app), lambda tally: tally.put_into(app), lasting=False
        ),
        PartShelf("ahead", coder(int), partial(_ahead, clock), partial(_put_ahead, clock)),
        PartShelf(
            "latest", coder(datetime), lambda: clock.latest, partial(_put_latest, clock), lasting=False
        ),
        MapShelf("order", coder(ServiceOrder, world.order_type), orders, str, int),
        MapShelf("key", coder(KeyRecord), records, "/".join, _scope_and_key),
        MapShelf("settling", coder(Settling), settling, str, int),
        MapShelf("day", coder(tuple[int, int]), days, _show_day, _read_day),
        MapShelf("waiting", coder(tuple[datetime, Delivery]), waiting, str, int),
        MapShelf("under_way", coder(Delivery), under_way, str, int),
        QueueShelf("history", coder(entry), told, lasting=False),
        QueueShelf("ended", coder(tuple[datetime, bool]), ended, lasting=True),
        LogShelf("movement", coder(Movement), world.ledger.movements),
        LogShelf("sent", coder(Delivery), app.deliveries),
    ]
    for group, taken in app.limits.taken.items():
        numbered = app.limits.taken[group] = Numbered(taken)
        shelves.append(QueueShelf(f"taken-{group}", coder(datetime), numbered, lasting=False))
    return shelves


def _ahead(clock: Clock) -> int:
    return clock.ahead // _MICROSECOND


def _put_ahead(clock: Clock, microseconds: int) -> None:
    clock.ahead = microseconds * _MICROSECOND


def _put_latest(clock: Clock, latest: datetime) -> None:
    clock.latest = max(clock.latest, latest)


def _stock(world: World) -> dict[int, int]:
    return {tier.id: tier.stock for tier in world.catalog.tiers.values()}


def _put_stock(world: World, stock: Mapping[int, int]) -> None:
    for id_, number in stock.items():
        world.catalog.tiers[id_].stock = number


def _scope_and_key(name: str) -> tuple[KeyScope, str]:
    scope, _, key = name.partition("/")
    return cast(KeyScope, scope), key


def _show_day(key: tuple[str, int]) -> str:
    return f"{key[0]}/{key[1]}"


def _read_day(name: str) -> tuple[str, int]:
    provider, _, day = name.rpartition("/")
    return provider, int(day)
