"""A sandbox kept in a file: whatever happens in between, it goes on as one that was never closed."""

from __future__ import annotations

import errno
import importlib.util
import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from functools import partial
from inspect import signature
from pathlib import Path
from threading import Event, Thread
from time import sleep
from typing import Any, cast

import attrs
import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from smscode import Client, ClientStateError, ConfigurationError
from smscode.cli.exits import Exit
from smscode.core.api.call import Response
from smscode.sandbox import AbuseGuard, Behaviour, Delivery, Message, Sandbox, scenarios
from smscode.sandbox.http.api_error import Problem
from smscode.sandbox.options import Options
from smscode.sandbox.service import order_book
from smscode.sandbox.storage.snapshot import copy_parts, lines, make_snapshot_converter
from smscode.sandbox.storage.state import SavedState

from ..programs import ROOT
from .harness import START, URL, Api
from .test_invariants import OPTIONS, RUNS, Service, Watched, send
from .test_scenario_invariants import SCENARIOS


@pytest.fixture
def version() -> str:
    return "v1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sandbox.json"


GOLDEN = ROOT / "tests" / "data" / "sandbox-state-3.json"
CONVERTER = make_snapshot_converter({})


def entries(path: Path) -> dict[str, Any]:
    """Return what is in a file; what its time was is no matter."""
    found = json.loads(path.read_bytes())
    del found["clock.latest"]
    return cast("dict[str, Any]", found)


def state_of(sandbox: Sandbox) -> SavedState:
    """Return the file of a kept sandbox."""
    changed: Any = sandbox.transport().app.changed
    return cast(SavedState, changed.__self__)


def whole(sandbox: Sandbox) -> dict[str, Any]:
    """Return the state of a kept sandbox as it is in memory."""
    app = sandbox.transport().app
    text = "".join(lines(sandbox.transport().app.options, copy_parts(app), CONVERTER))
    return {name: value for name, value in json.loads(text).items() if name != "clock.latest"}


def holds(path: Path, number: int) -> bool:
    """Return True if a file has at least so many orders."""
    return len(entries(path)["world.orders"]) >= number


def until(condition: Callable[[], object]) -> None:
    """Wait for something that another thread or process does; half a minute is longer than it takes."""
    for _ in range(3000):
        if condition():
            return
        sleep(0.01)
    raise AssertionError("it does not happen")


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
            with unwatched():
                getattr(self._other(), name)(*values, **named)

        return call


@contextmanager
def unwatched() -> Generator[None]:
    """Do something with the orders of the other sandbox, which has the same."""
    steps, Watched.steps = Watched.steps, {}
    yield
    Watched.steps = steps


class Kept(Service):
    """Everything that can be done with a sandbox, done with one that is closed and reopened now and then."""

    def make(self) -> Sandbox:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "sandbox.json"
        self.told: list[Delivery] = []
        self.kept = self.open()
        return cast(Sandbox, Both(super().make(), lambda: self.kept))

    def open(self) -> Sandbox:
        sandbox = Sandbox(**OPTIONS, deliver=self.hear, state=self.path)
        app = sandbox.transport().app
        note = app.changed
        self.noted = False
        self.before: dict[str, Any] = whole(sandbox)

        def changed() -> None:
            self.noted = True
            note()

        app.changed = changed
        return sandbox

    def hear(self, delivery: Delivery) -> int:
        self.told.append(delivery)
        return 204

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Response | None:
        answer = super().send(method, target, headers, body)
        with unwatched():
            assert send(self.kept.transport().app, method, target, headers, body) == answer
        return answer

    @rule(fault=st.sampled_from(["PROVIDER_ERROR", "INTERNAL_ERROR", 502]))
    def fail_a_purchase(self, fault: str | int) -> None:
        # Only in this purchase: the service is not to fail in the others.
        self.sandbox.clear_scenarios()
        self.sandbox.fail_next("orders.create", fault, details={"a": [1, None, "b"]})
        headers = {"authorization": f"Bearer {self.sandbox.token}"}
        self.send("POST", "/v1/orders/create", headers, b'{"product_id":142}')
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

    @rule()
    def restart(self) -> None:
        before = whole(self.kept)
        told = self.kept.deliveries
        self.kept.close()
        assert entries(self.path) == before
        with unwatched():
            self.kept = self.open()
            assert whole(self.kept) == before
        assert self.kept.deliveries == told
        assert self.kept.now == self.sandbox.now

    @invariant()
    def every_change_is_noted(self) -> None:
        now = whole(self.kept)
        assert self.noted or now == self.before
        self.noted, self.before = False, now

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
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write changes without a pause."""
    monkeypatch.setattr("smscode.sandbox.storage.state.PAUSE", 0.001)


@pytest.mark.usefixtures("soon")
def test_a_change_is_written_by_itself(path: Path) -> None:
    api = Api(otp_after=None, state=path)
    with api.sandbox:
        api.rent(2)
        until(lambda: len(entries(path)["world.orders"]) == 2)
        api.sandbox.set_balance(5)
        until(lambda: entries(path)["world.ledger.movements"][-1]["kind"] == "adjustment")
        before = whole(api.sandbox)
    assert entries(path) == before


def test_changes_that_follow_each_other_are_written_together_after_a_pause(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smscode.sandbox.storage.state.PAUSE", 1000)
    api = Api(otp_after=None, state=path)
    with api.sandbox:
        api.rent()
        until(lambda: len(entries(path)["world.orders"]) == 1)
        for _ in range(20):
            api.rent()
        assert len(entries(path)["world.orders"]) == 1
    assert len(entries(path)["world.orders"]) == 21


@pytest.mark.usefixtures("soon")
def test_answers_do_not_wait_for_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(otp_after=None, state=path)
    writing, go_on = Event(), Event()
    replace = os.replace

    def slow(new: str, old: str) -> None:
        writing.set()
        go_on.wait()
        replace(new, old)

    with api.sandbox:
        monkeypatch.setattr("smscode.sandbox.storage.state.os.replace", slow)
        (order_id,) = api.rent()
        until(writing.is_set)
        assert api.order(order_id)["status"] == "ACTIVE"
        assert len(api.rent(3)) == 3
        go_on.set()
    assert len(entries(path)["world.orders"]) == 4


@pytest.mark.usefixtures("soon")
def test_what_cannot_be_written_is_said_and_written_later(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(new: str, old: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    api = Api(otp_after=None, state=path)
    with api.sandbox:
        with monkeypatch.context() as disk:
            disk.setattr("smscode.sandbox.storage.state.os.replace", full)
            assert len(api.rent(2)) == 2
            until(lambda: "sandbox.json cannot be used (No space left" in caplog.text)
        until(lambda: len(entries(path)["world.orders"]) == 2)
        assert sorted(os.listdir(path.parent)) == [path.name, f"{path.name}.lock"]
    api = Api(otp_after=None, state=path)
    monkeypatch.setattr("smscode.sandbox.storage.state.os.replace", full)
    with pytest.raises(ConfigurationError, match="No space left"):
        api.sandbox.close()
    assert len(entries(path)["world.orders"]) == 2
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.skipif(sys.platform == "win32", reason="files have no such modes")
def test_only_its_owner_can_read_it(path: Path) -> None:
    with Sandbox(state=path):
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.fixture
def noted(path: Path) -> Generator[tuple[Api, list[int]]]:
    """Return a kept sandbox whose orders take no time, and what says of a change that it is one."""
    api = Api(otp_after=5, state=path)
    notes: list[int] = []
    with api.sandbox as sandbox:
        note = sandbox.transport().app.changed

        def changed() -> None:
            notes.append(1)
            note()

        sandbox.transport().app.changed = changed
        yield api, notes


def test_looking_and_the_time_that_passes_are_no_changes(noted: tuple[Api, list[int]]) -> None:
    api, notes = noted
    api.rent()
    notes.clear()
    sandbox, app = api.sandbox, api.sandbox.transport().app
    for _ in range(3):
        app.complete(app.tick())
        app.until_due()
        assert (sandbox.balance, sandbox.now, len(sandbox.ledger)) == (985_000, START, 2)
        assert sandbox.audit().discrepancies == ()
        assert len(sandbox.history) == 2
    assert notes == []


def test_what_falls_due_is_a_change_whoever_looks(noted: tuple[Api, list[int]]) -> None:
    api, notes = noted
    api.rent()
    api.sandbox._clock.ahead += timedelta(seconds=5)
    notes.clear()
    assert api.sandbox.balance == 985_000
    assert len(notes) == 1
    api.sandbox._clock.ahead += timedelta(seconds=1200)
    api.sandbox.transport().app.tick()
    assert len(notes) == 2


def test_without_a_file_nothing_is_tracked() -> None:
    program = "import sys; from smscode.sandbox import Sandbox; Sandbox(); print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "smscode.sandbox.service.world" in done.stdout.split()
    assert not {"smscode.sandbox.storage.state", "smscode.sandbox.storage.snapshot"} & set(
        done.stdout.split()
    )


# -- a real kill -----------------------------------------------------------------------------


@contextmanager
def served(path: Path) -> Generator[tuple[subprocess.Popen[str], str, str]]:
    """Serve a kept sandbox in a process of its own; yield that, its address and its token."""
    command = [sys.executable, "-m", "smscode", "sandbox", "--balance", "9000000", "--state", str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        _, _, url, _, token = server.stdout.readline().split()
        try:
            yield server, url, token
        finally:
            server.kill()


serves = pytest.mark.skipif(importlib.util.find_spec("uvicorn") is None, reason="needs the sandbox extra")


def buy(http: httpx.Client, key: str) -> Any:
    headers = {"idempotency-key": key}
    return http.post("/v1/orders/create", json={"product_id": 142}, headers=headers).json()


@serves
def test_a_killed_process_loses_only_what_came_after_the_last_writing(path: Path) -> None:
    answers: dict[str, Any] = {}
    written: set[int] = set()
    sent: list[str] = []

    def buy_many(http: httpx.Client, round_: int, worker: int) -> None:
        with suppress(httpx.TransportError):
            for number in range(1000):
                key = f"{round_}-{worker}-{number}"
                sent.append(key)
                answers[key] = buy(http, key)
                sleep(0.05)  # so that there is enough for both rounds

    for round_ in range(2):
        with served(path) as (server, url, token), httpx.Client(base_url=url) as http:
            http.headers["authorization"] = f"Bearer {token}"
            workers = [Thread(target=buy_many, args=(http, round_, worker)) for worker in range(4)]
            for worker in workers:
                worker.start()
            until(partial(holds, path, len(written) + 5))
            written = {id_ for id_, _ in entries(path)["world.orders"]}
            server.kill()
            for worker in workers:
                worker.join()

    with served(path) as (_, url, token), httpx.Client(base_url=url) as http:
        http.headers["authorization"] = f"Bearer {token}"
        again = {key: buy(http, key) for key in sent}
    same = {answer["data"]["orders"][0]["id"] for key, answer in again.items() if answers.get(key) == answer}
    assert written <= same
    with Sandbox(state=path) as sandbox:
        assert sandbox.audit().discrepancies == ()


@serves
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_is_told_to_end_loses_nothing(path: Path, number: int) -> None:
    with served(path) as (server, url, token), httpx.Client(base_url=url) as http:
        http.headers["authorization"] = f"Bearer {token}"
        answers = {str(key): buy(http, str(key)) for key in range(20)}
        server.send_signal(number)
        assert server.wait(30) == Exit.INTERRUPTED
    assert os.listdir(path.parent) == [path.name]
    with served(path) as (_, url, token), httpx.Client(base_url=url) as http:
        http.headers["authorization"] = f"Bearer {token}"
        assert {key: buy(http, key) for key in answers} == answers


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise KeyboardInterrupt"])
def test_a_program_that_ends_without_closing_loses_nothing(path: Path, end: str) -> None:
    program = (
        f"import sys; from smscode.sandbox import Sandbox; Sandbox(state=sys.argv[1]).set_balance(7); {end}"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program, str(path)], env=environment, capture_output=True)
    assert os.listdir(path.parent) == [path.name]
    with Sandbox(state=path) as sandbox:
        assert sandbox.balance == 7


# -- what goes on ----------------------------------------------------------------------------


def reopen(api: Api, path: Path, **options: Any) -> Api:
    """Go on with a kept sandbox in another process."""
    api.sandbox.close()
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
    with Sandbox(state=path, clock=lambda: START) as sandbox:
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
        with pytest.raises(ConfigurationError, match=r"sandbox\.json cannot be used \(another sandbox"):
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


def test_a_forked_process_leaves_the_file_to_its_parent(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(state=path) as sandbox:
        with monkeypatch.context() as forked:
            forked.setattr("smscode.sandbox.storage.state.os.getpid", lambda: -1)
            state_of(sandbox).close()
        with pytest.raises(ConfigurationError, match="another sandbox"):
            Sandbox(state=path)


def test_a_closed_one_answers_no_more(path: Path) -> None:
    api = Api(state=path)
    api.sandbox.close()
    api.sandbox.close()
    state_of(api.sandbox).close()
    with pytest.raises(ClientStateError, match="closed"):
        api.rent()
    assert api.sandbox.audit().orders == ()
    Sandbox().close()


def test_a_webhook_that_arrives_after_the_end_is_sent_again(path: Path) -> None:
    heard: list[int] = []

    def deliver(delivery: Delivery) -> int:
        heard.append(delivery.attempt)
        if len(heard) == 1:
            api.sandbox.close()
        return 204

    api = Api(state=path, deliver=deliver, otp_after=1)
    api.patch("/webhook", webhook_url=URL)
    api.rent()
    api.sandbox.advance(1)
    with Api(state=path, deliver=deliver, otp_after=1).sandbox as sandbox:
        sandbox.advance(0)
        assert heard == [1, 1]
        assert [delivery.status for delivery in sandbox.deliveries] == [204]


def test_a_lock_file_that_a_killed_process_left_is_in_nobodys_way(path: Path) -> None:
    path.with_name(f"{path.name}.lock").touch()
    path.with_name(f"{path.name}.new").write_text("half of a sna")
    with Sandbox(state=path):
        pass
    assert os.listdir(path.parent) == [path.name]


def test_a_lock_file_that_its_owner_removed_meanwhile_is_no_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove(descriptor: int) -> None:
        os.unlink(f"{path}.lock")

    monkeypatch.setattr("smscode._platform.lock_file", remove)
    with pytest.raises(ConfigurationError, match="another sandbox is using it"):
        Sandbox(state=path)


def test_a_path_means_the_same_file_however_it_is_given(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.json").symlink_to(path)
    (tmp_path / "elsewhere").mkdir()
    with Sandbox(state="sandbox.json") as sandbox:
        for name in ("~/sandbox.json", str(path), "link.json", os.fsencode(path)):
            with pytest.raises(ConfigurationError, match="another sandbox is using it"):
                Sandbox(state=cast(str, name))
        os.chdir("elsewhere")
        sandbox.set_balance(7)
    assert (tmp_path / "link.json").is_symlink()
    with Sandbox(state=tmp_path / "link.json") as sandbox:
        assert sandbox.balance == 7
    assert (tmp_path / "link.json").is_symlink()


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("nowhere/sandbox.json", r"nowhere.sandbox\.json cannot be used \(No such file or directory"),
        ("a-folder", r"a-folder cannot be used \(Is a directory"),
        ("a-file/sandbox.json", r"sandbox\.json cannot be used \(Not a directory"),
        ("null\0character", "state: expected the path of a file"),
        (5, "state: expected the path of a file"),
    ],
)
def test_a_path_that_cannot_be_used_is_said(
    state: object, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-folder").mkdir()
    (tmp_path / "a-file").touch()
    with pytest.raises(ConfigurationError, match=said):
        Sandbox(state=cast(str, state))
    assert sorted(os.listdir(tmp_path)) == ["a-file", "a-folder"]


def sqlite_file(path: Path, application_id: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {application_id}")
        connection.execute("CREATE TABLE entry (name TEXT)")


def test_other_files_are_refused_and_left_as_they_are(path: Path) -> None:
    sqlite_file(path, 0x534D5343)
    others = [
        path.read_bytes(),
        b"some text" * 1000,
        b"[" * 100_000,
        b'{"name": 1}',
        b"[1]",
        b"null",
        b"\xff\xfe",
    ]
    for content in others:
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"sandbox\.json cannot .* another program's file"):
            Sandbox(state=path)
        assert path.read_bytes() == content
        assert os.listdir(path.parent) == [path.name]


def test_a_file_of_another_version_is_refused_with_what_to_do(path: Path) -> None:
    sqlite_file(path, 0x534D5342)  # what version 1 was
    with pytest.raises(ConfigurationError, match="an older version of this package made it; delete it"):
        Sandbox(state=path)
    path.write_text('{"smscode_sandbox": 2}', "utf-8")
    with pytest.raises(ConfigurationError, match="it has format 2, expected 3; delete it"):
        Sandbox(state=path)
    path.write_bytes(b"")
    with Sandbox(state=path):
        assert entries(path)["smscode_sandbox"] == 3


def test_a_file_that_this_version_wrote_stays_readable(path: Path) -> None:
    """If this fails, raise VERSION and write the file of `everything` again."""
    shutil.copy(GOLDEN, path)
    with Sandbox(state=path, clock=lambda: START, deliver=lambda _: 503) as sandbox:
        assert whole(sandbox) == entries(GOLDEN)
    assert entries(path) == entries(GOLDEN)
    everything(path.with_name("again.json"))
    assert entries(path.with_name("again.json")) == entries(GOLDEN)


def everything(path: Path) -> None:
    """Make a file in which each part of the state has something, but for what a moment empties."""
    api = Api(state=path, answer=503, otp_after=None, webhook_jitter=9.0)
    with api.sandbox as sandbox:
        api.patch("/webhook", webhook_url=URL)
        sandbox.play("partial(1)", catalog_product_id=120)
        sandbox.fail_next("orders.get", "CONFLICT", times=2, details={"a": [1, None]})
        first, second, _ = api.rent(3)
        sandbox.deliver_sms(first, text="Hello", code="1234")
        api.post("/orders/finish", id=first)
        again = api.post("/orders/reactivate", id=first)["orders"][0]["id"]
        sandbox.deliver_sms(again)
        api.post("/orders/create", "key", catalog_product_id=87, quantity=2)
        sandbox.advance(120)
        api.post("/orders/cancel", id=second)
        sandbox.set_behaviour(Behaviour(takes=30, messages=(Message(1, "text"),)))
        app, headers = sandbox.transport().app, {"authorization": f"Bearer {sandbox.token}"}
        app.begin("POST", "/v1/orders/create", headers, b'{"product_id":142}')
        sandbox.set_maintenance(True, retry_after=9)
    with Sandbox(state=path, clock=lambda: START):
        pass  # what was under way is waiting again
    assert {name for name, part in entries(path).items() if part in ([], {})} == {
        "world.outbox",
        "world.delivery_queue.in_flight",
    }


DAMAGE: list[tuple[str, Any]] = [
    ("world.rules", None),
    ("world.rules", {"lifetime": "long"}),
    ("world.webhook", 5),
    ("world.catalog.stock", [1]),
    ("world.orders", [[1001, {}]]),
    ("world.orders", {"1001": 5}),
    ("world.fx", {"pair": "USD/IDR"}),
    ("history.entries", [{"_type": "Nothing"}]),
    ("nothing", 1),
    ("options", 5),
    ("options", {"balance": -1}),
    ("clock.latest", "yesterday"),
    ("clock.latest", "2026-06-14T04:00:12"),
    ("clock.ahead", 10**40),
    ("world.canceled", None),
    ("world.settling", [[1, {"number": 1}]]),
    ("limits.taken", [["nothing", []]]),
]


@pytest.mark.parametrize(("name", "value"), DAMAGE)
def test_what_does_not_fit_together_is_refused_and_left(path: Path, name: str, value: object) -> None:
    api = Api(state=path)
    api.rent()
    api.sandbox.close()
    found = {**json.loads(path.read_bytes()), name: value}
    if value is None:
        del found[name]
    path.write_text(json.dumps(found), "utf-8")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"it is damaged, and left as it is.*; delete it"):
        Sandbox(state=path)
    assert path.read_bytes() == before


def test_half_a_file_is_damaged(path: Path) -> None:
    Sandbox(state=path).close()
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ConfigurationError, match="it is damaged, and left as it is"):
        Sandbox(state=path)
