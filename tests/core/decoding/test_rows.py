"""Long answers are read in slices, with and without msgspec, and say the same as when read in one go."""

from __future__ import annotations

import importlib.util
import itertools
import json
import sys
from datetime import datetime
from typing import Any, Literal, cast, get_args, get_type_hints

import pytest
from attrs import field, fields, frozen, resolve_types, validators
from hypothesis import given, settings
from hypothesis import strategies as st

from smscode import Money, OrderStatus, Product, RetryPolicy, SmscodeError
from smscode.core import answers
from smscode.core.api.registry import ENDPOINTS
from smscode.core.decoding import chunks, columns, converter, rows, rows_msgspec, strict_json
from smscode.core.decoding.converter import Mismatch
from smscode.core.effects import EffectReply, Release, Send, Sleep
from smscode.core.flow import CallTerms, flow
from smscode.core.versions import ApiVersion

from ..support import CALLS, FX, PAGE, RUNS, VERSIONS, exactly, finish, respond, usd

Engine = Literal["msgspec", "json"]
Outcome = tuple[object, ...]

ROWS = {name: endpoint for name, endpoint in ENDPOINTS.items() if endpoint.rows is not None}
TIME = "2026-06-14T04:00:12+00:00"
NEWER: dict[str, object] = {
    "operator_id": 18,
    "operator_name": "Viettel",
    **dict.fromkeys(("can_finish", "can_resend", "can_cancel", "can_replace", "can_reactivate"), True),
    **dict.fromkeys(("resend_available_at", "cancel_available_at", "replace_available_at")),
}


def price(version: ApiVersion, amount: int) -> object:
    return amount if version == "v1" else usd(f"{amount / 16_250:.4f}", amount)


def row(operation: str, version: ApiVersion, number: int, newer: bool = True) -> dict[str, Any]:
    """Make the row of a list as the service of either generation shows it."""
    more = NEWER if newer else {}
    rows: dict[str, dict[str, Any]] = {
        "catalog.countries": {"id": number, "code": "ID", "name": f"Country {number}", "active": True},
        "catalog.services": {"id": number, "code": f"s{number}", "name": "Süd 😀", "active": number % 2 == 0},
        "catalog.operators": {"operator_id": number or None, "code": "any", "name": None, "local_name": "x"},
        "catalog.products": {
            "id": number,
            "name": f"Service {number}",
            "country_id": 6,
            "platform_id": None,
            "available": 5 * number,
            "price": price(version, 500 + number % 7),
            "active": True,
            **({"operator_id": None, "operator_name": None} if newer else {}),
        },
        "orders.list": {
            "id": number,
            "status": ("ACTIVE", "PAUSED")[number % 2],
            "created_at": TIME,
            "product_id": 142,
            "amount": price(version, number),
            "phone_number": "+6281234567890",
            **dict.fromkeys(("otp_code", "otp_received_at", "expires_at", "canceled_at", "failed_reason")),
            **more,
        },
        "orders.active": {
            "id": number,
            "status": "OTP_RECEIVED",
            "otp_code": "123456",
            "otp_message": "code: 123456",
            "otp_received_at": TIME,
            "expires_at": None,
            "failed_reason": None,
            **more,
        },
    }
    return rows.get(operation) or row_of(cast("type[Any]", ROWS[operation].rows), version, number)


def row_of(model: type[Any], version: ApiVersion, number: int) -> dict[str, Any]:
    """Make a row with every field of a model, for a list that is not in the table of `row`."""
    values: dict[object, object] = {
        bool: number % 2 == 0,
        datetime: TIME,
        int: number,
        Money: price(version, number),
        OrderStatus: "ACTIVE",
        str: f"text {number}",
    }
    hints = get_type_hints(model)
    kinds = {field.name: (get_args(hints[field.name]) or (hints[field.name],))[0] for field in fields(model)}
    return {name: values[kind] for name, kind in kinds.items()}


def test_a_row_can_be_made_of_every_model_of_a_list() -> None:
    for version in VERSIONS:
        for operation, endpoint in ROWS.items():
            made = row_of(cast("type[Any]", endpoint.rows), version, 7)
            body = compact(envelope(version, [made]))
            assert finish(answers.read(CALLS[operation], respond(raw=body), version)).status_code == 200


def envelope(version: ApiVersion, data: object) -> dict[str, object]:
    meta = PAGE if version == "v1" else {**PAGE, "fx": FX}
    return {"success": True, "data": data, "meta": meta}


def compact(value: object, *, ascii_only: bool = True) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only).encode()


def outcome(operation: str, body: bytes, version: ApiVersion) -> Outcome:
    """Read an answer: its result to the last digit, or everything about its error."""
    try:
        answer = finish(answers.read(CALLS[operation], respond(raw=body), version))
    except SmscodeError as error:
        return type(error), str(error), error.code, error.trouble, error.outcome
    return (exactly(answer.data), exactly(answer.fx), answer.problems)


@pytest.fixture(params=["msgspec", "json"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Read with msgspec or without, in slices of a few rows, and anything however short."""
    columns.columns.cache_clear()
    if request.param == "json":
        monkeypatch.setattr(rows_msgspec, "library", lambda: None)
    else:
        pytest.importorskip("msgspec")
    monkeypatch.setattr(chunks, "_SHORTEST", 0)
    monkeypatch.setattr(chunks, "_SIZE", 300)
    return cast(Engine, request.param)


def whole(body: bytes) -> None:
    """Find no rows to read by themselves."""


def in_one_go(operation: str, body: bytes, version: ApiVersion) -> Outcome:
    """Read an answer as if it were not long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "split", whole)
        return outcome(operation, body, version)


def never(*arguments: object) -> Any:
    raise AssertionError("a slower way was taken")


@pytest.mark.parametrize("newer", [True, False])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("operation", ROWS)
def test_healthy_rows_are_read_the_fast_way_and_to_the_same_end(
    operation: str, version: ApiVersion, newer: bool, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [row(operation, version, number, newer) for number in range(40)]
    for ascii_only in (True, False):
        body = compact(envelope(version, sent), ascii_only=ascii_only)
        expected = in_one_go(operation, body, version)
        assert not isinstance(expected[0], type), expected
        with monkeypatch.context() as patch:
            patch.setattr(converter, "rows_of", never)
            escaped = b"\\" in body and b"code: 1" in body
            if engine == "msgspec" and not escaped:
                patch.setattr(rows, "_by_columns", never)
            assert outcome(operation, body, version) == expected


def test_every_list_of_the_service_is_read_in_slices() -> None:
    catalog = {"catalog.countries", "catalog.services", "catalog.operators", "catalog.products"}
    assert {*catalog, "orders.list", "orders.active"} <= set(ROWS)


def test_an_answer_in_parts_is_shown_without_its_rows() -> None:
    secret = {"phone_number": "+628123456789", "name": "x" * 40}
    sliced = chunks.split(json.dumps({"success": True, "data": [secret] * 2_000}).encode())
    assert sliced is not None
    assert "628123456789" not in repr(sliced)


def test_a_long_answer_pauses_between_its_slices() -> None:
    body = compact(envelope("v1", [row("catalog.products", "v1", number) for number in range(2_000)]))
    steps = answers.read(CALLS["catalog.products"], respond(raw=body), "v1")
    pauses = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            page = end.value.data
            break
        pauses += 1
    assert [product.id for product in page] == list(range(2_000))
    assert pauses == -(-len(body) // (64 * 1024)) - 1 >= 3


def test_the_flow_lets_others_have_their_turn_in_a_long_answer() -> None:
    body = compact(envelope("v2", [row("catalog.products", "v2", number) for number in range(2_000)]))
    steps = flow(CALLS["catalog.products"], CallTerms("v2", RetryPolicy(), 0.0, 30.0, lambda: 0.5))
    assert isinstance(next(steps), Send)
    effects: list[object] = []
    reply = EffectReply(1.0, respond(raw=body))
    while True:
        try:
            effects.append(steps.send(reply))
        except StopIteration as end:
            answer = end.value
            break
        reply = EffectReply(2.0)
    assert effects == [Sleep(0)] * (len(body) // (64 * 1024)) + [Release(keep=True)]
    assert (len(answer.data), answer.attempts) == (2_000, 1)


@pytest.mark.parametrize("operation", ROWS)
def test_a_short_answer_never_pauses(operation: str) -> None:
    body = compact(envelope("v2", [row(operation, "v2", 1)]))
    with pytest.raises(StopIteration):
        next(answers.read(CALLS[operation], respond(raw=body), "v2"))
    assert rows.read_later(body, "v2", Product) is None


PRODUCT = compact(row("catalog.products", "v1", 3)).decode()


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


DEEP = nested(100_000)
TWICE = PRODUCT.replace('"id":3', '"id":3,"id":4')
ODD_ROWS: dict[str, str] = {
    "a field twice": PRODUCT.replace('"id":3', '"id":3,"id":4'),
    "a field twice, once escaped": PRODUCT.replace('"id":3', '"id":3,"\\u0069d":4'),
    "an unknown field twice": PRODUCT.replace('"id":3', '"id":3,"x":1,"x":1'),
    "a field twice beside one that is missing": PRODUCT.replace('"platform_id":null', '"name":"Service 3"'),
    "a field twice inside an unknown one": PRODUCT.replace('"id":3', '"id":3,"x":{"y":1,"y":2}'),
    "NaN": PRODUCT.replace('"available":15', '"available":NaN'),
    "NaN in an unknown field": PRODUCT.replace('"id":3', '"id":3,"x":NaN'),
    "an unknown number out of range": PRODUCT.replace('"id":3', '"id":3,"x":1e999'),
    "an unknown number beyond any range": PRODUCT.replace('"id":3', '"id":3,"x":1e' + "9" * 30),
    "a number with a fraction": PRODUCT.replace('"available":15', '"available":15.0'),
    "a number with an exponent": PRODUCT.replace('"available":15', '"available":1e1'),
    "an integer as text": PRODUCT.replace('"available":15', '"available":"15"'),
    "a boolean for an integer": PRODUCT.replace('"available":15', '"available":true'),
    "an integer for a boolean": PRODUCT.replace('"active":true', '"active":1'),
    "an integer of 30 digits": PRODUCT.replace('"available":15', '"available":' + "9" * 30),
    "an integer of 5,000 digits": PRODUCT.replace('"available":15', '"available":' + "9" * 5_000),
    "an unknown integer of 5,000 digits": PRODUCT.replace('"id":3', '"id":3,"x":' + "9" * 5_000),
    "a price below zero": PRODUCT.replace('"price":503', '"price":-1'),
    "a price that is true": PRODUCT.replace('"price":503', '"price":true'),
    "a price that is an object": PRODUCT.replace('"price":503', f'"price":{json.dumps(usd("1.0", 1))}'),
    "half a character": PRODUCT.replace("Service 3", "\\ud800"),
    "half a character in an unknown field": PRODUCT.replace('"id":3', '"id":3,"x":"\\udc00"'),
    "a character in two halves": PRODUCT.replace("Service 3", "\\ud83d\\ude00"),
    "a control character": PRODUCT.replace("Service 3", "\x01"),
    "text of another code": PRODUCT.replace("Service 3", "\udcff"),
    "text of another code in an unknown field": PRODUCT.replace('"id":3', '"id":3,"x":"\udcff"'),
    "a colon in a name": PRODUCT.replace("Service 3", "Service: 3"),
    "an escaped colon in a name": PRODUCT.replace("Service 3", "Service\\u003a 3"),
    "a field twice, a colon escaped": TWICE.replace("Service 3", "\\u003a"),
    "a colon that makes up for another": PRODUCT.replace("Service 3", ":").replace('"platform_id":null,', ""),
    "what looks like the end of a row in a name": PRODUCT.replace("Service 3", "},{"),
    "what looks like the end of all rows in a name": PRODUCT.replace("Service 3", '}]},{\\"data\\":[{'),
    "a field that is missing": PRODUCT.replace('"available":15,', ""),
    "a field that may be missing": PRODUCT.replace('"country_id":6,', ""),
    "an unknown object": PRODUCT.replace('"id":3', '"id":3,"x":{"y":[{},{}]}'),
    "spaces": PRODUCT.replace(",", " , ").replace(":", " :\t"),
    "fields in another order": compact(dict(reversed(json.loads(PRODUCT).items()))).decode(),
    "nothing in it": "{}",
    "one field": '{"id":3}',
    "an array": "[1]",
    "null": "null",
    "great depth": DEEP,
    "great depth in a field": PRODUCT.replace('"id":3', f'"id":3,"x":{DEEP}'),
    "the greatest depth in a field": PRODUCT.replace(
        '"id":3', '"id":3,"x":' + nested(strict_json.LEVELS - 3)
    ),
    "a level too many in a field": PRODUCT.replace('"id":3', '"id":3,"x":' + nested(strict_json.LEVELS - 2)),
    "no end": PRODUCT[:-1],
    "a comma too many": PRODUCT + ",",
    "a second value": PRODUCT + " 1",
}
"""What can be wrong or unusual with one row of many, v1's."""


@pytest.mark.parametrize("place", [0, 1, 17, 39])
@pytest.mark.parametrize("what", ODD_ROWS)
def test_an_odd_row_is_taken_or_refused_as_in_a_short_answer(what: str, place: int, engine: Engine) -> None:
    rows = [compact(row("catalog.products", "v1", 100 + number)).decode() for number in range(40)]
    rows[place] = ODD_ROWS[what]
    text = f'{{"success":true,"data":[{",".join(rows)}],"meta":{json.dumps(PAGE)}}}'
    body = text.encode("utf-8", "surrogateescape")
    assert outcome("catalog.products", body, "v1") == in_one_go("catalog.products", body, "v1")


@pytest.mark.parametrize("what", ODD_ROWS)
def test_when_all_rows_are_odd_the_same_comes_of_it(what: str, engine: Engine) -> None:
    text = f'{{"success":true,"data":[{",".join([ODD_ROWS[what]] * 3)}],"meta":{json.dumps(PAGE)}}}'
    body = text.encode("utf-8", "surrogateescape")
    assert outcome("catalog.products", body, "v1") == in_one_go("catalog.products", body, "v1")


AMOUNTS = ['"1.0"', '"1.00"', "1.0", "1.00", "1", "true", '"1e1"', '" 1 "', '"NaN"', '"\uff11"', "null", "[]"]
MONEY = '{"amount":%s,"currency":"%s","canonical_amount":%s,"canonical_currency":"IDR"%s}'


@pytest.mark.parametrize("more", ["", ',"x":1', ',"amount":"1.0"', ',"x":{"currency":"USD"}'])
@pytest.mark.parametrize("rupiah", ["1", "true", "1.0", "-1", '"1"'])
@pytest.mark.parametrize("currency", ["USD", "EUR"])
def test_money_is_never_taken_for_other_money_that_is_equal(
    currency: str, rupiah: str, more: str, engine: Engine
) -> None:
    """Amounts are remembered; those that Python calls equal come right after each other here."""
    for amount in AMOUNTS:
        good = compact(row("catalog.products", "v2", 1)).decode()
        odd = good.replace(
            json.dumps(usd("0.0308", 501), separators=(",", ":")), MONEY % (amount, currency, rupiah, more)
        )
        assert odd != good
        meta = json.dumps({**PAGE, "fx": FX})
        body = f'{{"success":true,"data":[{good},{odd},{good}],"meta":{meta}}}'.encode()
        assert outcome("catalog.products", body, "v2") == in_one_go("catalog.products", body, "v2")


ENVELOPES: dict[str, str] = {
    "the usual one": '{"success":true,"data":[%s],"meta":%s}',
    "the rows last": '{"success":true,"meta":%.0s%s,"data":[%.0s%s]}',
    "spaces": ' \n{ "success" : true , "data" : [ %s ] , "meta" : %s } \n',
    "data twice": '{"success":true,"data":[%s],"meta":%s,"data":[]}',
    "rows in another field": '{"success":true,"data":[],"x":{"data":[%s]},"meta":%s}',
    "rows in a field whose name ends like it": '{"success":true,"data":[],"a\\"data":[%s],"meta":%s}',
    "rows in an array": '[{"success":true,"data":[%s],"meta":%s}]',
    "an array after the rows": '{"success":true,"data":[%s],"meta":%s,"x":[]}',
    "rows of rows": '{"success":true,"data":[[%s]],"meta":%s}',
    "no success": '{"data":[%s],"meta":%s}',
    "no success but rows": '{"success":false,"data":[%s],"meta":%s,"error":{"code":"CONFLICT"}}',
    "success as text": '{"success":"true","data":[%s],"meta":%s}',
    "something after the end": '{"success":true,"data":[%s],"meta":%s}]',
    "a mark before the beginning": '\ufeff{"success":true,"data":[%s],"meta":%s}',
    "no end": '{"success":true,"data":[%s],"meta":%s',
    "no end of the rows": '{"success":true,"data":[%s,"meta":%s}',
    "a second end of the rows": '{"success":true,"data":[%s]],"meta":%s}',
    "rows in a string": '{"success":true,"data":"[%s]","meta":%s}',
    "something unreadable after the rows": '{"success":true,"data":[%s],"meta":%s,"x":NaN}',
    "a wrong page": '{"success":true,"data":[%s],"x":%s,"meta":{"page":"1"}}',
}


@pytest.mark.parametrize("what", ENVELOPES)
def test_the_rows_are_found_where_they_are_and_nowhere_else(what: str, engine: Engine) -> None:
    rows = ",".join(compact(row("catalog.products", "v1", number)).decode() for number in range(20))
    meta = compact(PAGE).decode()
    parts = (meta, meta, rows, rows) if "%.0s" in ENVELOPES[what] else (rows, meta)
    body = (ENVELOPES[what] % parts).encode()
    assert outcome("catalog.products", body, "v1") == in_one_go("catalog.products", body, "v1")


TEXTS = st.text(st.sampled_from('ab:,"\\{}[] \x00é😀') | st.characters(), max_size=8)
NUMBERS = st.integers(-3, 3) | st.integers()
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
TOKENS = [
    b":",
    b",",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b"},{",
    b"\\",
    b"1",
    b".0",
    b"null",
    b" ",
    b"\xff",
    b'"id":1,',
    b"\\ud800",
]


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, ApiVersion, bytes]:
    """Make the body of a list: sound, with a field changed here and there, or with bytes changed."""
    operation = draw(st.sampled_from(sorted(ROWS)))
    version = draw(st.sampled_from(VERSIONS))
    newer = draw(st.booleans())
    rows = [row(operation, version, number, newer) for number in range(draw(st.integers(1, 12)))]
    for _ in range(draw(st.integers(0, 2))):
        changed = rows[draw(st.integers(0, len(rows) - 1))]
        name = draw(st.sampled_from([*changed, "x", "price", "amount"]))
        if draw(st.booleans()):
            changed[name] = draw(JSON)
        else:
            changed.pop(name, None)
    indent = draw(st.sampled_from([None, None, None, 1]))
    separators = None if indent else (",", ":")
    text = json.dumps(
        envelope(version, rows), indent=indent, separators=separators, ensure_ascii=draw(st.booleans())
    )
    body = text.encode("utf-8", "replace")
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, len(body)))
        end = min(start + draw(st.integers(0, 3)), len(body))
        body = body[:start] + draw(st.sampled_from(TOKENS)) + body[end:]
    return operation, version, body


@given(case=bodies())
@settings(max_examples=200 * RUNS)
@pytest.mark.parametrize("engine", ["msgspec", "json"])
def test_whatever_comes_is_read_as_in_one_go(engine: str, case: tuple[str, ApiVersion, bytes]) -> None:
    if engine == "msgspec":
        pytest.importorskip("msgspec")
    operation, version, body = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "_SHORTEST", 0)
        patch.setattr(chunks, "_SIZE", 100)
        if engine == "json":
            patch.setattr(rows_msgspec, "library", lambda: None)
        found = outcome(operation, body, version)
    assert found == in_one_go(operation, body, version)


@given(body=st.binary(max_size=200), rows=st.binary(max_size=100))
def test_bytes_at_random_are_refused_as_in_one_go(body: bytes, rows: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "_SHORTEST", 0)
        for text in (body, b'{"success":true,"data":[{' + rows + b'}],"meta":{}}'):
            assert outcome("catalog.products", text, "v1") == in_one_go("catalog.products", text, "v1")


def test_rows_of_the_greatest_depth_are_read_in_slices(engine: Engine) -> None:
    deepest = {"x": json.loads(nested(strict_json.LEVELS - 3))}
    shown = [row("catalog.products", "v1", number) | deepest for number in range(9)]
    later = rows.read_later(compact(envelope("v1", shown)), "v1", Product)
    assert later is not None
    parts = list(later[1])
    assert len(parts) > 1
    assert [one.id for part in parts for one in part] == list(range(9))


@pytest.mark.parametrize("cut", [False, True])
def test_each_row_that_cannot_be_read_is_named_by_its_number_in_the_answer(cut: bool, engine: Engine) -> None:
    shown, odd = [row("catalog.products", "v1", number) for number in range(20)], (1, 2, 7, 12, 18)
    for number in odd:
        shown[number]["available"] = "many"
    if cut:  # from the row after it on, all are read at once
        shown[14]["name"] = 300 * "x" + "},{"
    expected = [(f"$.data[{number}].available: expected an integer, got a string", number) for number in odd]
    body = compact(envelope("v1", shown))
    later, found = rows.read_later(body, "v1", Product), finish(rows.read(body, "v1", Product))
    assert later is not None
    assert {one.id for part in later[1] for one in part} == {*range(20)} - {*odd}
    assert [(str(problem), problem.row_id) for problem in later[1].problems] == expected
    assert cut is (found is None)
    if found is not None:
        assert [(str(problem), problem.row_id) for problem in found[2]] == expected


OTHERS: tuple[object, ...] = (None, True, 5, -1, "x", "", TIME, [], {}, usd("1.00", 1))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("operation", ROWS)
def test_a_field_of_another_type_is_taken_or_refused_as_in_a_short_answer(
    operation: str, version: ApiVersion, engine: Engine
) -> None:
    healthy = row(operation, version, 1)
    for name, other in itertools.product(healthy, OTHERS):
        body = compact(envelope(version, [{**healthy, name: other}]))
        assert outcome(operation, body, version) == in_one_go(operation, body, version)


def test_rows_that_cannot_be_cut_into_slices_are_read_with_all_that_follow(engine: Engine) -> None:
    shown = [row("catalog.products", "v1", number) | {"name": 300 * "x" + "},{"} for number in range(9)]
    later = rows.read_later(compact(envelope("v1", shown)), "v1", Product)
    assert later is not None
    assert [one.id for part in later[1] for one in part] == list(range(9))


def test_amounts_are_forgotten_when_they_are_too_many(
    monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    monkeypatch.setattr(columns, "_MOST_PRICES", 3)
    cache = columns.Prices("v1", fields(Product).price)
    for amount in range(10):
        assert cache[amount] == Money.idr(amount)
        assert len(cache) <= 3
    for version in VERSIONS:
        shown = [row("catalog.products", version, number) for number in range(40)]
        shown = [{**one, "price": price(version, 9_000 + number)} for number, one in enumerate(shown)]
        body = compact(envelope(version, shown))
        assert outcome("catalog.products", body, version) == in_one_go("catalog.products", body, version)


def test_rows_of_one_price_share_it(engine: Engine) -> None:
    shown = [row("catalog.products", "v2", 1 + number % 2) for number in range(6)]
    found = finish(rows.read(compact(envelope("v2", shown)), "v2", Product))
    assert found is not None
    assert len({id(product.price) for product in found[1]}) == 2


def test_fields_to_come_do_not_make_it_slow(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_one_by_one", never)
    for version in VERSIONS:
        shown = [row("catalog.products", version, number) | {"tags": [{"new": 1}]} for number in range(40)]
        body = compact(envelope(version, shown))
        found = finish(rows.read(body, version, Product))
        assert found is not None
        assert [product.id for product in found[1]] == list(range(40))
        assert outcome("catalog.products", body, version) == in_one_go("catalog.products", body, version)


def test_rows_of_different_fields_are_still_read_in_slices(engine: Engine) -> None:
    shown = [row("catalog.products", "v1", number, newer=number % 2 == 0) for number in range(40)]
    found = finish(rows.read(compact(envelope("v1", shown)), "v1", Product))
    assert found is not None
    assert [product.id for product in found[1]] == list(range(40))


def test_msgspec_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    rows_msgspec.library.cache_clear()
    monkeypatch.setitem(sys.modules, "msgspec", None)
    assert rows_msgspec.library() is None
    monkeypatch.undo()
    rows_msgspec.library.cache_clear()
    assert (rows_msgspec.library() is None) is (importlib.util.find_spec("msgspec") is None)


@resolve_types
@frozen
class Ruled:
    id: int = 0

    def __attrs_post_init__(self) -> None: ...


@resolve_types
@frozen
class Checked:
    id: int = field(default=0, validator=validators.ge(0))


@resolve_types
@frozen
class Prepared:
    id: int = 0

    def __attrs_pre_init__(self) -> None: ...


def next_year(time: datetime | None) -> datetime | None:
    return None if time is None else time.replace(year=time.year + 1)


@resolve_types
@frozen
class Postponed:
    other: datetime | None = field(default=None, converter=next_year)


@resolve_types
@frozen
class Vague:
    other: object = None


@resolve_types
@frozen
class Debt:
    id: int
    amount: Money


def test_money_may_be_below_zero_where_the_model_lets_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converter, "rows_of", never)
    for version in VERSIONS:
        body = compact(envelope(version, [{"id": 1, "amount": price(version, -500)}] * 9))
        found = finish(rows.read(body, version, Debt))
        assert found is not None
        assert [debt.amount.canonical_amount for debt in found[1]] == [-500] * 9


@pytest.mark.parametrize("model", [Ruled, Prepared, Checked, Postponed, Vague])
def test_a_model_with_rules_of_its_own_is_left_to_the_codec(model: type[object], engine: Engine) -> None:
    body = compact(envelope("v1", [{"id": 1, "other": None}] * 9))
    assert finish(rows.read(body, "v1", cast(Any, model))) is None


def test_every_model_of_rows_is_made_of_columns() -> None:
    models: list[Any] = [endpoint.rows for endpoint in ROWS.values()]
    for model in models:
        for version in VERSIONS:
            assert columns.columns(version, model).keys() == {field.name for field in fields(model)}


def test_a_later_row_that_is_not_json_is_named_by_its_place(engine: Engine) -> None:
    shown = [row("catalog.products", "v1", number) for number in range(9)]
    body = compact(envelope("v1", shown)).replace(b'"id":8,', b'"id":?,')
    later = rows.read_later(body, "v1", Product)
    assert later is not None
    with pytest.raises(Mismatch, match=r"\A\$\.data: expected an array of objects"):
        list(later[1])
