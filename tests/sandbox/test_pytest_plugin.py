"""The pytest plugin: a sandbox and clients for tests, whatever runs their event loops."""

from __future__ import annotations

import importlib
import math
import os
import re
import subprocess
import sys
import threading
import time
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import smscode
from smscode import Client
from smscode.sandbox import Sandbox
from smscode.sandbox.transports import virtual

from ..programs import ROOT, programs_of

pytest_plugins = ["pytester"]

PLUGIN = 'pytest_plugins = ["smscode.testing"]\n'
ASYNC_TEST = """
    async def test_a_late_code(smscode_sandbox, smscode_async_client):
        client = smscode_async_client
        order = (await client.orders.create(catalog_product_id=87)).orders[0]
        sms = await client.orders.wait_for_otp(order.id, timeout=1000)
        assert len(sms.code) == 6
        assert smscode_sandbox.audit().held == 15_000
"""


@pytest.fixture
def version() -> str:
    return "v2"


@pytest.fixture(autouse=True)
def everything_imported() -> None:
    """Share the modules with a session inside this one: what it imports itself is thrown away with it."""
    for name in smscode.__all__:
        getattr(smscode, name)
    for name in (
        "smscode.testing",
        "smscode.sandbox.transports.virtual",
        "anyio._backends._asyncio",
        "anyio._backends._trio",
    ):
        importlib.import_module(name)


def run(
    pytester: pytest.Pytester, test: str, *, conftest: str = "", ini: str = "", alone: bool = False
) -> pytest.RunResult:
    """Run a test in a session of its own, where warnings are errors; ``alone`` in a process of its own."""
    pytester.makeconftest(PLUGIN + conftest)
    pytester.makepyfile(test)
    loops = "asyncio_default_fixture_loop_scope = function"
    warnings = "filterwarnings =\n  error\n  ignore:Module already imported:pytest.PytestAssertRewriteWarning"
    pytester.makeini(f"[pytest]\n{warnings}\n{loops}\n{ini}")
    session = pytester.runpytest_subprocess if alone else pytester.runpytest_inprocess
    return session("--strict-markers", "-p", "no:cacheprovider")


def passes(pytester: pytest.Pytester, test: str, number: int = 1, **settings: Any) -> None:
    run(pytester, test, **settings).assert_outcomes(passed=number)


MARKED = "import pytest\n@pytest.mark.smscode_sandbox(otp_after=900)\n"


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_it_works_with_pytest_asyncio(mode: str, pytester: pytest.Pytester) -> None:
    marker = "@pytest.mark.asyncio\n" if mode == "strict" else ""
    ini = f"asyncio_mode = {mode}\n"
    passes(pytester, MARKED + marker + _dedent(ASYNC_TEST), ini=ini, alone=True)


def test_it_works_with_the_plugin_of_anyio(pytester: pytest.Pytester) -> None:
    backends = """
import pytest
@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param
"""
    passes(pytester, MARKED + "@pytest.mark.anyio\n" + _dedent(ASYNC_TEST), 2, conftest=backends)


def test_it_works_without_either(pytester: pytest.Pytester) -> None:
    test = _dedent(ASYNC_TEST).replace("async def test_a_late_code", "async def look")
    test += """
def test_by_hand(smscode_sandbox, smscode_async_client):
    asyncio.run(look(smscode_sandbox, smscode_async_client))
"""
    passes(pytester, "import asyncio\n" + MARKED.replace("@", "pytestmark = ") + test)


def test_nothing_that_clients_wait_for_takes_time(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        """
        import asyncio
        import threading
        import pytest
        from smscode import OtpTimeoutError, RetryPolicy

        @pytest.fixture
        def smscode_client_options():
            return {"retry": RetryPolicy(base=100.0, cap=100.0), "timeout": 5000.0}

        @pytest.mark.smscode_sandbox(otp_after=None)
        def test_no_code(smscode_sandbox, smscode_client):
            began = smscode_sandbox.now
            order = smscode_client.orders.create(catalog_product_id=87).orders[0]
            with pytest.raises(OtpTimeoutError):
                smscode_client.orders.wait_for_otp(order.id, timeout=600)
            assert (smscode_sandbox.now - began).total_seconds() == 600
            smscode_client.orders.cancel(order.id, wait=True)
            assert smscode_sandbox.audit().refunds == 15_000

        def test_a_repeated_request(smscode_sandbox, smscode_client):
            smscode_sandbox.fail_next("balance.get", 502, times=3)
            assert smscode_client.balance().balance.canonical_amount == 1_000_000

        def test_a_slow_purchase(smscode_sandbox, smscode_client):
            began = smscode_sandbox.now
            smscode_sandbox.play("slow_create(20)")
            smscode_client.orders.create(catalog_product_id=87)
            assert (smscode_sandbox.now - began).total_seconds() == 20

        @pytest.mark.smscode_sandbox(otp_after=500, balance=10_000_000)
        def test_many_tasks(smscode_sandbox, smscode_async_client):
            async def rent(number):
                client = smscode_async_client
                order = (await client.orders.create(catalog_product_id=87)).orders[0]
                await client.orders.wait_for_otp(order.id, timeout=None if number else 510)
                await client.orders.finish(order.id)

            async def rent_all():
                await asyncio.gather(*map(rent, range(100)))

            began = smscode_sandbox.now
            asyncio.run(rent_all())
            assert 500 <= (smscode_sandbox.now - began).total_seconds() < 510

        @pytest.mark.smscode_sandbox(otp_after=500)
        def test_threads(smscode_sandbox, smscode_client):
            found, all_rented = [], threading.Barrier(4)

            def rent(timeout):
                order = smscode_client.orders.create(catalog_product_id=87).orders[0]
                all_rented.wait()  # a thread that starts late would rent after the others have their codes
                found.append(smscode_client.orders.wait_for_otp(order.id, timeout=timeout).code)

            threads = [threading.Thread(target=rent, args=(timeout,)) for timeout in (600, None, None, None)]
            began = smscode_sandbox.now
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(found) == 4
            assert (smscode_sandbox.now - began).total_seconds() < 600
        """,
        5,
    )


@pytest.mark.parametrize("longest", [math.inf, 0.0])
def test_a_thread_at_work_in_a_call_stops_the_time(longest: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "_LONGEST_WORK", longest)
    sandbox = Sandbox()
    shared = virtual.VirtualTime(sandbox)
    begun, go_on = threading.Event(), threading.Event()

    def work(*_: object) -> None:
        begun.set()
        go_on.wait(60)

    with virtual.VirtualClient(sandbox, shared) as client:
        monkeypatch.setattr(client._driver, "report", work)
        working = threading.Thread(target=client.balance)
        working.start()
        begun.wait(60)
        waiting = threading.Thread(target=shared.wait, args=(500,))
        waiting.start()
        if longest:
            for _ in range(30):
                time.sleep(0.001)
                assert shared.now() == 1000
            go_on.set()
        waiting.join()
        go_on.set()
        working.join()
    assert shared.now() == 1500


def test_a_slow_purchase_takes_no_time_on_an_event_loop(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        """
        import asyncio

        def test_repeated(smscode_sandbox, smscode_async_client):
            smscode_sandbox.fail_next("balance.get", 502, times=3)
            assert asyncio.run(smscode_async_client.balance()).fx.rate == 16_250

        def test_slow(smscode_sandbox, smscode_async_client):
            smscode_sandbox.play("slow_create(20)")

            async def buy(number):
                await smscode_async_client.orders.create(catalog_product_id=87)

            async def buy_all():
                await asyncio.gather(*map(buy, range(10)))

            began = smscode_sandbox.now
            asyncio.run(buy_all())
            assert (smscode_sandbox.now - began).total_seconds() == 20
        """,
        2,
    )


def test_both_clients_keep_the_limits_of_the_account_together(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        """
        import asyncio
        import pytest
        from smscode import RateLimits

        @pytest.fixture
        def smscode_client_options():
            return {"rate_limits": RateLimits(balance=3)}

        @pytest.mark.smscode_sandbox(rate_limits={"balance": 3})
        def test_it(smscode_sandbox, smscode_client, smscode_async_client):
            began = smscode_sandbox.now
            asyncio.run(smscode_async_client.balance())
            for _ in range(3):
                smscode_client.balance(timeout=100)
            assert 60 <= (smscode_sandbox.now - began).total_seconds() < 70
            assert smscode_sandbox.requests["GET /balance"] == 4
        """,
    )


def test_options_come_from_fixtures_and_the_nearest_marker(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        """
        import pytest
        pytestmark = pytest.mark.smscode_sandbox(balance=1, otp_after=5, generation="documented")

        @pytest.fixture
        def smscode_sandbox_options():
            return {"balance": 3, "token": "ours", "api_version": "v1"}

        def test_module(smscode_sandbox, smscode_client):
            assert (smscode_sandbox.token, smscode_sandbox.balance) == ("ours", 1)
            assert smscode_client.balance().balance.currency == "IDR"
            assert smscode_client.webhook.get().webhook_disabled_reason is None

        @pytest.mark.smscode_sandbox(balance=2, api_version="v2")
        def test_function(smscode_sandbox, smscode_client):
            assert smscode_sandbox.balance == 2
            assert smscode_client.balance().balance.currency == "USD"
        """,
        2,
    )


def test_both_versions_can_be_tried(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        """
        import pytest

        @pytest.fixture(params=["v1", "v2"])
        def smscode_api_version(request):
            return request.param

        def test_it(smscode_client, smscode_api_version):
            fx = smscode_client.balance().fx
            assert (fx is None) == (smscode_api_version == "v1")
        """,
        2,
    )


def test_each_test_has_its_own_and_webhooks_stay_in_it(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        """
        import pytest
        from smscode import ClientStateError
        seen = []

        @pytest.mark.parametrize("number", [1, 2])
        def test_own(number, smscode_sandbox, smscode_client, smscode_async_client):
            smscode_client.webhook.update(url="https://hooks.example.net/sms")
            order = smscode_client.orders.create(catalog_product_id=87).orders[0]
            assert order.id == 1001
            smscode_client.orders.wait_for_otp(order.id)
            assert [one.status for one in smscode_sandbox.deliveries] == [204]
            seen.extend([smscode_client, smscode_async_client])

        def test_closed():
            with pytest.raises(ClientStateError, match="closed"):
                seen[0].balance()

        @pytest.mark.asyncio
        async def test_closed_too():
            with pytest.raises(ClientStateError, match="closed"):
                await seen[1].balance()
        """,
        4,
        ini="asyncio_mode = strict\n",
    )


def test_a_failed_test_shows_what_happened(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest

        def test_it(smscode_client):
            smscode_client.orders.create(catalog_product_id=87)
            assert False

        def test_nothing(smscode_sandbox):
            assert False

        def test_other():
            assert False

        @pytest.mark.smscode_sandbox(30)
        def test_wrong(smscode_sandbox):
            pass

        @pytest.mark.smscode_sandbox(otp_aftr=2)
        def test_misspelled(smscode_client):
            pass

        class TestOptions:
            @pytest.fixture
            def smscode_sandbox_options(self):
                return {"version": "v1"}

            def test_misspelled(self, smscode_sandbox):
                pass
        """,
    )
    result.assert_outcomes(failed=3, errors=3)
    output = result.stdout.str()
    assert output.count("- smscode sandbox -") == 2
    result.stdout.fnmatch_lines(["* POST /v2/orders/create -> 200, order 1001 *", "nothing happened"])
    assert "smscode_sandbox: expected arguments with names, as otp_after=30." in output
    assert "smscode_sandbox: there is no argument 'otp_aftr'; the closest is 'otp_after'." in output
    there = "smscode_sandbox_options: there is no argument 'version'; the closest is 'api_version'."
    assert there in output


def test_the_documentation_s_tests_pass(pytester: pytest.Pytester) -> None:
    programs = programs_of(ROOT / "docs" / "pages" / "how-to" / "testing.md")
    files = {program.source.partition("\n")[0]: program.source for program in programs}
    passes(pytester, files["# test_rental.py"], 2)
    passes(pytester, files["# test_no_code.py"])
    pytest.importorskip("uvicorn")
    passes(pytester, files["# test_program.py"], alone=True)


def installed(folder: Path) -> dict[str, str]:
    """Return an environment in which a distribution with the entry points of this package is installed."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"][
        "pytest11"
    ]
    distribution = folder / "smscode_entry_points-1.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: smscode-entry-points\nVersion: 1\n")
    lines = "\n".join(f"{name} = {module}" for name, module in declared.items())
    (distribution / "entry_points.txt").write_text(f"[pytest11]\n{lines}\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}


def run_installed(tmp_path: Path, test: str, conftest: str = "", *options: str) -> str:
    """Run a test where pytest finds the plugin by itself, and return what pytest printed."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "conftest.py").write_text(conftest)
    (project / "test_it.py").write_text(test)
    without = [f"-pno:{name}" for name in ("cacheprovider", "asyncio", "anyio")]
    command = [sys.executable, "-W", "error", "-m", "pytest", *without, *options]
    done = subprocess.run(command, cwd=project, env=installed(tmp_path), capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.mark.parametrize("asked", [[], ["smscode.testing"], ["smscode.sandbox.pytest", "smscode.testing"]])
def test_pytest_finds_it_by_itself_and_it_may_be_asked_for_by_both_names(
    asked: list[str], tmp_path: Path
) -> None:
    test = "def test_it(smscode_client):\n    assert smscode_client.balance().balance.canonical_amount\n"
    assert "1 passed" in run_installed(tmp_path, test, f"pytest_plugins = {asked!r}\n")


def test_a_project_that_does_not_use_it_imports_nothing_of_the_package_for_it() -> None:
    program = (
        "import pytest, sys; before = {*sys.modules}; import smscode.testing; print({*sys.modules} - before)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    found = {name for name in re.findall(r"[\w.]+", done.stdout) if not name.startswith("_")}
    assert {name.partition(".")[0] for name in found} - {*sys.stdlib_module_names} == {"smscode"}
    assert {name for name in found if name.startswith("smscode")} == {
        *("smscode", "smscode._version", "smscode.testing")
    }


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    test = "def test_it(smscode_client):\n    pass\n"
    shown = run_installed(tmp_path, test, "", "-p", "no:smscode.testing")
    assert "fixture 'smscode_client' not found" in shown


def test_a_program_that_makes_its_own_client_finds_the_sandbox_of_its_test(pytester: pytest.Pytester) -> None:
    pytest.importorskip("uvicorn")
    test = """
import os, subprocess, sys
import pytest
from smscode import Client

PROGRAM = "from smscode import Client; print(Client().balance().balance.canonical_amount)"

def test_it(smscode_env, smscode_sandbox):
    assert smscode_env is smscode_sandbox
    with Client() as client:
        order = client.orders.create(catalog_product_id=87).orders[0]
        assert client.orders.wait_for_otp(order.id, timeout=5).code
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) == smscode_sandbox.balance

@pytest.mark.smscode_sandbox(otp_after=600, token="another")
def test_its_options(smscode_env):
    assert os.environ["SMSCODE_TOKEN"] == "another"
    with Client() as client:
        order = client.orders.create(catalog_product_id=87).orders[0]
        smscode_env.advance(600)
        assert client.orders.wait_for_otp(order.id, timeout=5).code

def test_the_environment_is_as_before():
    assert "SMSCODE_BASE_URL" not in os.environ
"""
    passes(pytester, test, 3)


def test_the_clients_that_a_program_makes_can_have_the_time_of_the_sandbox(pytester: pytest.Pytester) -> None:
    program = """
from smscode import AsyncClient, Client, OtpTimeoutError

def rent():
    with Client("your-token", user_agent="shop/2", poll_interval=10.0) as client:
        try:
            with client.orders.rent(catalog_product_id=87, max_price="1.50", release_timeout=150) as rental:
                rental.wait_for_otp(timeout=60)
        except OtpTimeoutError:
            return client, rental.released

async def rent_async():
    async with AsyncClient(base_url="http://192.0.2.1", allow_http=True) as client:
        try:
            async with client.orders.rent(
                catalog_product_id=87, max_price="1.50", release_timeout=150
            ) as rental:
                await rental.wait_for_otp(timeout=60)
        except OtpTimeoutError:
            return client, rental.released
"""
    test = """
import asyncio
import program
import pytest
from smscode import AsyncClient, Client

@pytest.fixture
def smscode_client_options():
    return {"timeout": 20.0}

@pytest.mark.smscode_sandbox(otp_after=None)
@pytest.mark.parametrize("times", [1, 2])
def test_it(times, monkeypatch, smscode_sandbox, smscode_client_class, smscode_async_client_class):
    monkeypatch.setattr("program.Client", smscode_client_class)
    monkeypatch.setattr("program.AsyncClient", smscode_async_client_class)
    began = smscode_sandbox.now
    for _ in range(times):
        client, released = program.rent()
        assert (isinstance(client, Client), released) == (True, "canceled")
        client, released = asyncio.run(program.rent_async())
        assert (isinstance(client, AsyncClient), released) == (True, "canceled")
    assert 240 * times <= (smscode_sandbox.now - began).total_seconds() < 260 * times
    assert smscode_sandbox.balance == 1_000_000

@pytest.mark.smscode_sandbox(api_version="v1")
def test_its_options(smscode_client_class, smscode_async_client_class):
    with smscode_client_class() as client:
        assert client.balance().balance.currency == "IDR"
    with smscode_client_class(api_version="v2") as client:
        assert client.balance().balance.currency == "USD"
    assert "v1" in repr(smscode_async_client_class())
"""
    pytester.makepyfile(program=program)
    passes(pytester, test, 3)


def test_the_history_is_in_the_order_of_time() -> None:
    sandbox = Sandbox(otp_after=30, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    with Client(sandbox.token, transport=sandbox.transport()) as client:
        client.orders.create(catalog_product_id=87, quantity=2)
        sandbox.advance(60)
        client.orders.finish(1001)
        sandbox.advance(3600)
    times = [entry.at for entry in sandbox.history]
    assert times == sorted(times)
    assert len(times) == len(sandbox.history) >= 9


def test_nothing_of_it_is_imported_unless_asked_for() -> None:
    program = "import sys, smscode, smscode.sandbox; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {
        "pytest",
        "smscode.testing",
        "smscode.sandbox.pytest",
        "smscode.sandbox.transports.virtual",
    } & set(done.stdout.split())


def _dedent(test: str) -> str:
    return "\n".join(line.removeprefix("    ") for line in test.splitlines()).lstrip("\n") + "\n"


def test_the_longer_name_of_the_plugin_stands_for_the_short_one() -> None:
    longer = importlib.import_module("smscode.sandbox.pytest")
    assert longer.pytest_plugins == ["smscode.testing"]
