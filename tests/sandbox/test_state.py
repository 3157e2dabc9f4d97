"""A sandbox kept in a file: whatever happens in between, it goes on as one that was never closed."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from inspect import signature
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any, cast

import attrs
import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from smscode import Client, ClientStateError, ConfigurationError
from smscode.core.api.call import Response
from smscode.journal import SQLiteJournal
from smscode.sandbox import AbuseGuard, Behaviour, Delivery, Message, Sandbox, scenarios
from smscode.sandbox.http.api_error import Problem
from smscode.sandbox.options import Options
from smscode.sandbox.service import order_book
from smscode.sandbox.service.orders import ServiceOrder
from smscode.sandbox.storage.state import Saving, StateFile

from ..programs import ROOT
from .harness import START, URL, Api
from .test_invariants import OPTIONS, RUNS, Service, Watched, send
from .test_scenario_invariants import SCENARIOS


@pytest.fixture
def version() -> str:
    return "v1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sandbox.db"


def entries(path: Path) -> dict[str, Any]:
    """Return what is in the file of a closed sandbox."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, value FROM entry").fetchall()
    return {name: json.loads(value) for name, value in rows if name != "latest/"}


# -- it is the same as one that was never closed ---------------------------------------------


class Both:
    """What is done with a sandbox, done with another one as well."""

    def __init__(self, plain: Sandbox, other: Callable[[], Sandbox]) -> None:
        self._plain = plain
        self._other = other

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._plain, name)
        if name in ("transport", "audit") or not callable(found):
            return found

        def call(*values: Any, **named: Any) -> None:
            found(*values, **named)
            getattr(self._other(), name)(*values, **named)

        return call


class Kept(Service):
    """Everything that can be done with a sandbox, done with one that is closed and reopened now and then."""

    def make(self) -> Sandbox:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "sandbox.db"
        self.told: list[Delivery] = []
        self.kept = self.open()
        return cast(Sandbox, Both(super().make(), lambda: self.kept))

    def open(self) -> Sandbox:
        return Sandbox(**OPTIONS, deliver=self.hear, state=self.path)

    def hear(self, delivery: Delivery) -> int:
        self.told.append(delivery)
        return 204

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Response | None:
        answer = super().send(method, target, headers, body)
        assert send(self.kept.transport().app, method, target, headers, body) == answer
        return answer

    @rule(fault=st.sampled_from(["PROVIDER_ERROR", "INTERNAL_ERROR", 502]))
    def fail_a_purchase(self, fault: str | int) -> None:
        # Only in this purchase: the service is not to fail in the others.
        self.sandbox.clear_scenarios()
        self.sandbox.fail_next("orders.create", fault, details={"a": [1, None, "b"]})
        for sandbox in (self.sandbox, self.kept):
            app = sandbox.transport().app
            headers = {"authorization": f"Bearer {sandbox.token}"}
            send(app, "POST", "/v1/orders/create", headers, b'{"product_id":142}')
        self.sandbox.clear_scenarios()

    @rule(
        scenario=st.sampled_from(SCENARIOS),
        place=st.sampled_from([{}, {"catalog_product_id": 87}, {"product_id": 142}]),
        times=st.none() | st.integers(1, 3),
    )
    def play(self, scenario: str, place: dict[str, Any], times: int | None) -> None:
        self.sandbox.play(scenario, times=times, **place)

    @rule()
    def clear(self) -> None:
        self.sandbox.clear_scenarios()

    @rule(killed=st.booleans())
    def restart(self, killed: bool) -> None:
        before = whole(self.kept)
        told = self.kept.deliveries
        if killed:
            self.path = as_it_is_on_disk(self.path)
        self.kept.close()
        assert entries(self.path) == before
        self.kept = self.open()
        assert whole(self.kept) == before
        assert self.kept.deliveries == told
        assert self.kept.now == self.sandbox.now

    @invariant()
    def both_say_the_same(self) -> None:
        kept = self.kept.transport().app
        assert kept.world.ledger.movements == self.world.ledger.movements
        assert kept.requests == self.app.requests
        assert kept.history.entries == self.app.history.entries
        assert kept.history.total == self.app.history.total
        assert [delivery.body for delivery in self.told] == [one.body for one in self.sandbox.deliveries]
        assert self.kept.deliveries == self.sandbox.deliveries

    def teardown(self) -> None:
        self.kept.close()
        self.folder.cleanup()


def as_it_is_on_disk(path: Path) -> Path:
    """Copy the file of an open sandbox, as a process that is killed now would leave it."""
    folder = path.with_name(f"{path.parent.name}-killed-{len(os.listdir(path.parent))}")
    folder.mkdir()
    for file in path.parent.glob(f"{path.name}*"):
        shutil.copy(file, folder)
    return folder / path.name


def whole(sandbox: Sandbox) -> dict[str, Any]:
    """Return the state of a kept sandbox as it is in memory."""
    entries = saving(sandbox).keeper.whole()
    return {name: json.loads(text) for name, text in entries.items() if name != "latest/"}


def saving(sandbox: Sandbox) -> Saving:
    lock = sandbox.transport().app.lock
    assert isinstance(lock, Saving)
    return lock


def test_a_kept_sandbox_behaves_as_one_that_was_never_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_book, "ServiceOrder", Watched)
    run_state_machine_as_test(
        Kept,
        settings=settings(
            max_examples=max(RUNS // 10, 1),
            stateful_step_count=30,
            deadline=None,
            derandomize=RUNS == 200,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


# -- what is written, and when ---------------------------------------------------------------


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[set[str], bool]]:
    """Note the kinds of entries that are written, and whether to last."""
    seen: list[tuple[set[str], bool]] = []
    write = StateFile.write

    def note(
        self: StateFile, entries: Mapping[str, str | None], *, lasting: bool, anew: bool = False
    ) -> None:
        seen.append(({name.partition("/")[0] for name in entries}, lasting))
        write(self, entries, lasting=lasting, anew=anew)

    monkeypatch.setattr(StateFile, "write", note)
    return seen


def test_only_what_changed_is_written(path: Path, written: list[tuple[set[str], bool]]) -> None:
    api = Api(otp_after=None, state=path)
    with api.sandbox:
        (order_id,) = api.rent()
        written.clear()
        api.rent()
        changed = {"order", "movement", "stock", "day", "rest", "taken-create", "tally", "history"}
        assert written == [(changed, True)]
        written.clear()
        api.order(order_id)
        assert written == [({"taken-order_queries", "tally", "history"}, False)]
        written.clear()
        assert api.sandbox.balance == 970_000
        assert api.sandbox.now == START
        assert written == []
        api.sandbox.advance(1)
        assert written == [({"ahead", "latest", "tally", "history"}, True)]


def test_what_is_written_does_not_grow_with_what_is_held(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    write = StateFile.write

    def note(
        self: StateFile, entries: Mapping[str, str | None], *, lasting: bool, anew: bool = False
    ) -> None:
        sizes.append(sum(len(name) + len(text or "") for name, text in entries.items()))
        write(self, entries, lasting=lasting, anew=anew)

    api = Api(otp_after=1, balance=10**9, state=path, abuse_guard=None)
    with api.sandbox:
        api.rent()
        monkeypatch.setattr(StateFile, "write", note)
        api.rent()
        few = sizes[-1]
        for _ in range(10):
            api.rent(100)
            api.sandbox.advance(1200)
        api.rent()
        assert sizes[-1] < few + 50


def test_an_answer_does_not_go_out_before_its_effect_is_on_disk(path: Path) -> None:
    api = Api(otp_after=None, state=path)
    with api.sandbox:
        created = api.post("/orders/create", "key", product_id=142)
        left = as_it_is_on_disk(path)
    again = Api(otp_after=None, state=left)
    with again.sandbox:
        assert again.post("/orders/create", "key", product_id=142) == created
        assert again.sandbox.balance == 985_000
        assert again.sandbox.audit().discrepancies == ()


def test_what_cannot_be_written_is_not_answered(path: Path) -> None:
    api = Api(otp_after=None, state=path)
    with api.sandbox:
        file = saving(api.sandbox).file
        pages = file._connection.execute("PRAGMA page_count").fetchone()[0]
        file._connection.execute(f"PRAGMA max_page_count = {pages}")

        def buy_much() -> None:
            for number in range(200):
                api.post("/orders/create", f"key-{number}", product_id=142, quantity=10)

        with pytest.raises(ConfigurationError, match=r"sandbox\.db cannot be used \(.*full"):
            buy_much()
        left = as_it_is_on_disk(path)
        file._connection.execute("PRAGMA max_page_count = 1000000")
        assert api.post("/orders/create", "later", product_id=142)["orders"]
        before = whole(api.sandbox)
    assert entries(path) == before, "what could not be written then is written later"
    with Sandbox(otp_after=None, state=left, clock=lambda: START) as sandbox:
        assert sandbox.audit().discrepancies == ()
        assert sum(line.charged for line in sandbox.audit().orders) == 1_000_000 - sandbox.balance


def test_without_a_file_nothing_is_tracked() -> None:
    program = "import sys; from smscode.sandbox import Sandbox; Sandbox(); print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "smscode.sandbox.service.world" in done.stdout.split()
    assert not {"smscode.sandbox.storage.state", "sqlite3"} & set(done.stdout.split())
    app = Sandbox().transport().app
    assert type(app.world.orders) is dict
    assert type(app.world.keys.records) is dict
    assert app.world.order_type is ServiceOrder
    assert type(app.world.conduct.ended) is deque


# -- a real kill -----------------------------------------------------------------------------


@contextmanager
def served(path: Path) -> Generator[tuple[subprocess.Popen[str], str, str]]:
    """Serve a kept sandbox in a process of its own; give that, its address and its token."""
    command = [sys.executable, "-m", "smscode", "sandbox", "--otp-after", "0", "--state", str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        _, _, url, _, token = server.stdout.readline().split()
        try:
            yield server, url, token
        finally:
            server.kill()


@pytest.mark.skipif(importlib.util.find_spec("uvicorn") is None, reason="needs the sandbox extra")
def test_what_a_killed_process_answered_is_still_so(path: Path) -> None:
    answers: dict[str, Any] = {}
    sent: list[str] = []

    def buy(url: str, headers: dict[str, str], round_: int, worker: int) -> None:
        with httpx.Client(base_url=url, headers=headers) as http, suppress(httpx.TransportError):
            for number in range(1000):
                key = f"{round_}-{worker}-{number}"
                sent.append(key)
                answer = http.post(
                    "/v1/orders/create", json={"product_id": 142}, headers={"idempotency-key": key}
                )
                answers[key] = answer.json()

    for round_ in range(2):
        with served(path) as (server, url, token):
            headers = {"authorization": f"Bearer {token}"}
            workers = [Thread(target=buy, args=(url, headers, round_, worker)) for worker in range(4)]
            for worker in workers:
                worker.start()
            while len(answers) < 10 * (round_ + 1) and any(worker.is_alive() for worker in workers):
                sleep(0.001)
            server.kill()
            for worker in workers:
                worker.join()
    assert len(sent) > len(answers), "something was under way when it was killed"

    with served(path) as (_, url, token), httpx.Client(base_url=url) as http:
        http.headers["authorization"] = f"Bearer {token}"
        for key in sent:
            again = http.post("/v1/orders/create", json={"product_id": 142}, headers={"idempotency-key": key})
            assert again.json() == answers.setdefault(key, again.json())
    with Sandbox(otp_after=0, state=path) as sandbox:
        audit = sandbox.audit()
    assert audit.discrepancies == ()
    bought = [answer["data"]["orders"][0]["id"] for answer in answers.values()]
    assert sorted(bought) == [line.order_id for line in audit.orders]


# -- what goes on ----------------------------------------------------------------------------


def reopen(api: Api, path: Path, **options: Any) -> Api:
    """Kill the process of a kept sandbox, and go on in another."""
    left = as_it_is_on_disk(path)
    api.sandbox.close()
    for file in left.parent.iterdir():
        shutil.move(file, path.with_name(file.name))
    return Api(api.version, state=path, **options)


def test_a_purchase_that_was_settling_settles(path: Path) -> None:
    api = Api(state=path)
    api.sandbox.set_behaviour(Behaviour(takes=30))
    app = api.sandbox.transport().app
    headers = {"authorization": f"Bearer {api.sandbox.token}", "idempotency-key": "slow"}
    app.begin("POST", "/v1/orders/create", headers, b'{"product_id":142}')
    api = reopen(api, path)
    with api.sandbox:
        assert api.refused("POST", "/orders/create", "slow", product_id=142)[1] == "REQUEST_IN_PROGRESS"
        api.sandbox.advance(30)
        assert [order["id"] for order in api.post("/orders/create", "slow", product_id=142)["orders"]] == [
            1001
        ]


def test_webhooks_that_were_to_be_sent_are_sent(path: Path) -> None:
    heard: list[Delivery] = []

    def deliver(delivery: Delivery) -> int:
        heard.append(delivery)
        return 503

    api = Api(state=path, deliver=deliver, otp_after=1)
    secret = api.patch("/webhook", webhook_url=URL)["webhook_secret"]
    api.rent()
    api.sandbox.advance(1)
    assert [delivery.attempt for delivery in heard] == [1]
    api = reopen(api, path, deliver=deliver, otp_after=1)
    assert api.get("/webhook")["webhook_consecutive_failures"] == 1
    api.sandbox.advance(2)
    assert [delivery.attempt for delivery in heard] == [1, 2]
    assert heard[1].headers == heard[0].headers
    # And one that was on its way when the process was killed: nobody knows whether it arrived.
    api.rent()
    app = api.sandbox.transport().app
    api.sandbox._clock.ahead += timedelta(seconds=1)
    assert len(app.tick().deliveries) == 1
    api = reopen(api, path, deliver=deliver, otp_after=1)
    with api.sandbox:
        assert api.get("/webhook")["webhook_secret"] == secret
        assert json.loads(heard[-1].body)["data"]["order_id"] == 1002
        assert [(one.attempt, one.status) for one in api.sandbox.deliveries] == [(1, 503), (2, 503), (1, 503)]


def test_scenarios_go_on(path: Path) -> None:
    api = Api(state=path)
    api.sandbox.play("partial(1)", catalog_product_id=87)
    api.sandbox.fail_next("orders.create", "INTERNAL_ERROR", times=2)
    assert api.refused("POST", "/orders/create", catalog_product_id=87)[1] == "INTERNAL_ERROR"
    history = api.sandbox.history
    api = reopen(api, path)
    with api.sandbox:
        assert api.sandbox.history == history
        assert api.refused("POST", "/orders/create", catalog_product_id=87)[1] == "INTERNAL_ERROR"
        created = api.post("/orders/create", catalog_product_id=87, quantity=3)
        assert (len(created["orders"]), created["failed_count"]) == (1, 2)


def test_everything_that_can_be_chosen_and_set_goes_on(path: Path) -> None:
    api = Api(state=path, allow_local_webhooks=True)
    with api.sandbox as sandbox:
        for number, make in enumerate(scenarios.SCENARIOS.values()):
            sandbox.play(make(), catalog_product_id=87 + number)
        sandbox.play(Behaviour(outcomes={"alpha": "no_numbers"}, messages=(Message(1, "text"),)), times=2)
        sandbox.set_behaviour(Behaviour(problem=Problem("CONFLICT", "No", 409, {"a": [None, 1, {"b": "c"}]})))
        for on in (True, False):
            sandbox.set_maintenance(on, retry_after=3)
            sandbox.set_suspended(on)
        sandbox.set_rate(None)
        sandbox.set_balance(5)
        sandbox.set_otp_after(None)
        before, history = whole(sandbox), sandbox.history
        left = as_it_is_on_disk(path)
    with Sandbox(state=left, clock=lambda: START) as sandbox:
        assert whole(sandbox) == before
        assert sandbox.history == history


def test_one_that_was_reset_begins_anew(path: Path) -> None:
    api = Api(state=path, history_limit=5)
    api.rent(3)
    api.sandbox.play("never")
    api.sandbox.reset()
    before = whole(api.sandbox)
    (order_id,) = api.rent()
    api = reopen(api, path)
    with api.sandbox:
        assert [order["id"] for order in api.get("/orders")] == [order_id]
        assert order_id == 1001
        assert api.sandbox.balance == 985_000
        assert len(api.sandbox.history) == 3
        api.sandbox.reset()
        assert whole(api.sandbox).keys() == before.keys()
        after = whole(api.sandbox)
    assert entries(path) == after


def test_limits_bans_and_settings_go_on(path: Path) -> None:
    options: dict[str, Any] = {
        "otp_after": None,
        "rate_limits": {"balance": 2},
        "abuse_guard": AbuseGuard(orders=2, percent=50),
    }
    api = Api(state=path, **options)
    api.get("/balance")
    api.rent(2)
    api.sandbox.advance(1200)
    api.get("/balance")
    api.sandbox.set_otp_after(7)
    api.sandbox.set_rate(15_000)
    api.sandbox.set_maintenance(True, retry_after=9)
    now = api.sandbox.now
    api = reopen(api, path, **options)
    with api.sandbox:
        assert api.sandbox.now == now == START + timedelta(seconds=1200)
        assert api.send("GET", "/balance").headers["retry-after"] == "9"
        api.sandbox.set_maintenance(False)
        api.get("/balance")
        assert api.refused("GET", "/balance")[1] == "RATE_LIMIT_EXCEEDED"
        assert api.refused("POST", "/orders/create", product_id=142)[1] == "TEMP_BANNED_ABUSE_GUARD"
        assert api.get("/catalog/exchange-rate")["rate"] == 15_000
        assert api.sandbox.transport().app.world.rules.otp_after == 7


# -- which file ------------------------------------------------------------------------------


def test_it_goes_on_as_what_it_was_made_with(path: Path) -> None:
    with Sandbox(token="mine", balance=5, generation="documented", state=path) as first:
        assert first.token == "mine"
    with Sandbox(state=path) as again:
        assert (again.token, again.balance) == ("mine", 5)
        with Client(again.token, transport=again.transport()) as client:
            assert client.webhook.get().webhook_consecutive_failures is None
    with Sandbox(token="mine", balance=5, state=path):
        pass
    with pytest.raises(ConfigurationError, match="balance=5, not 6: leave balance out"):
        Sandbox(balance=6, state=path)
    with pytest.raises(ConfigurationError, match="another token") as raised:
        Sandbox(token="yours", state=path)
    assert "mine" not in str(raised.value)
    with Sandbox(state=path):
        pass


def test_what_counts_as_left_out_are_the_defaults() -> None:
    parameters = signature(Sandbox).parameters
    for option in attrs.fields(Options):
        assert option.default == parameters[option.name].default, option.name


def test_only_one_sandbox_uses_a_file(path: Path) -> None:
    program = "import sys; from smscode.sandbox import Sandbox; Sandbox(state=sys.argv[1])"
    with Sandbox(state=path):
        with pytest.raises(ConfigurationError, match=r"sandbox\.db cannot be used \(another sandbox"):
            Sandbox(state=path)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        other = subprocess.run(
            [sys.executable, "-c", program, str(path)], env=environment, capture_output=True, text=True
        )
        assert "another sandbox is using it" in other.stderr
    with Sandbox(state=path):
        pass
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_cannot_go_on_with_it(path: Path) -> None:
    with Sandbox(state=path) as sandbox:

        def child(said: Any) -> None:
            try:
                sandbox.set_rate(5)
            except ClientStateError as error:
                said.send(str(error))

        context = multiprocessing.get_context("fork")
        here, there = context.Pipe()
        process = context.Process(target=child, args=(there,))
        process.start()
        assert "forked process" in here.recv()
        process.join()
        assert sandbox.balance == 1_000_000
        here.close()
        there.close()


def test_another_process_is_noticed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(state=path) as sandbox:
        with monkeypatch.context() as forked:
            forked.setattr("smscode.sandbox.storage.state.os.getpid", lambda: -1)
            with pytest.raises(ClientStateError, match="forked"):
                sandbox.set_rate(5)


def test_a_closed_one_answers_no_more(path: Path) -> None:
    api = Api(state=path)
    api.sandbox.close()
    api.sandbox.close()
    with pytest.raises(ClientStateError, match="closed"):
        api.rent()
    Sandbox().close()


def test_other_files_are_refused_and_left_as_they_are(path: Path) -> None:
    SQLiteJournal(path).close()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="another program's file, and left as it is"):
        Sandbox(state=path)
    path.write_bytes(b"some text" * 1000)
    with pytest.raises(
        ConfigurationError, match=r"state: sandbox\.db cannot be used \(file is not a database"
    ):
        Sandbox(state=path)
    path.write_bytes(before)
    SQLiteJournal(path).close()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Sandbox(state=path / "nowhere")


def test_a_file_of_another_version_is_refused(path: Path) -> None:
    Sandbox(state=path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(ConfigurationError, match="it has format 2, expected 1"):
        Sandbox(state=path)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM entry WHERE name = 'rules/'",
        "DELETE FROM entry WHERE name = 'movement/0'",
        "UPDATE entry SET value = '{' WHERE name = 'webhook/'",
        "UPDATE entry SET value = '{}' WHERE name = 'rest/'",
        "UPDATE entry SET value = '{\"999\": 1}' WHERE name = 'stock/'",
        "INSERT INTO entry VALUES ('nothing/1', '2')",
        "UPDATE entry SET value = '{}' WHERE name = 'order/1001'",
        "UPDATE entry SET value = '5' WHERE name = 'options/'",
    ],
)
def test_what_does_not_fit_together_is_refused_and_left_as_it_is(damage: str, path: Path) -> None:
    api = Api(state=path)
    api.rent()
    api.sandbox.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(damage)
        connection.commit()
    before = entries(path) if "'{'" not in damage else {}
    with pytest.raises(ConfigurationError, match="it is damaged, and left as it is"):
        Sandbox(state=path)
    assert before == (entries(path) if before else {})
