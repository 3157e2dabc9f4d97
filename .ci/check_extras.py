"""Checks that an installed package, with some of its extras, does what they are for.

    python .ci/check_extras.py none           without extras: what there is, and which extra the rest needs
    python .ci/check_extras.py cli fast       each of these extras
    python .ci/check_extras.py vendor-first   the vendor's SDK was installed before this package
    python .ci/check_extras.py vendor-last    and after it

It is run by the Python that the package is installed for, outside the source tree. SMSCODE_BASE_URL and
SMSCODE_TOKEN are those of a served sandbox. `.ci/check_packages.py` does all of it.
"""

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import import_module, metadata
from pathlib import Path
from typing import Literal

from check_release import ROOT, version


def command(code: int, *arguments: str) -> str:
    """Run the installed command, check its exit code, and return its output."""
    run = [str(Path(sys.executable).parent / "smscode"), *arguments]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    assert done.returncode == code, f"{' '.join(arguments)}: {done.returncode}, expected {code}\n{text}"
    assert "Traceback" not in text, text
    return text


def installed() -> None:
    """Check that the package is the installed one, in the version of this tree."""
    import smscode

    place = Path(smscode.__file__).resolve()
    assert place.parent != ROOT / "smscode", f"{place} is not the installed package"
    assert smscode.__version__ == metadata.version("smscode-async") == version()


def refusal(use: Callable[[], object]) -> str:
    """Return the message of the ConfigurationError that a use of the package raises."""
    from smscode import ConfigurationError

    try:
        use()
    except ConfigurationError as error:
        return error.message
    raise AssertionError("it works without the extra")


def without() -> None:
    """Use the package without extras: the core works, and what does not names the extra that it needs."""
    from smscode import AsyncClient, Client, RateLimits
    from smscode.sandbox import Sandbox

    needed = [line for line in metadata.requires("smscode-async") or () if "extra ==" in line]
    optional = {re.split(r"[^\w-]", line)[0] for line in needed}
    there = optional & {distribution.name.lower() for distribution in metadata.distributions()}
    assert not there, f"{there} are installed, so this proves nothing"
    assert "sandbox" in command(0, "--help")
    assert '"openapi": "3.1.0"' in command(0, "openapi")
    sandbox = Sandbox(otp_after=0)
    client = Client(sandbox.token, transport=sandbox.transport())
    with client, client.orders.rent(catalog_product_id=87) as rental:
        assert rental.wait_for_otp(timeout=5).code is not None
    away = RateLimits(redis="redis://127.0.0.1")
    hints = {
        "aiohttp": refusal(lambda: AsyncClient("token", http="aiohttp")),
        "cli": command(6, "balance", "--sandbox"),
        "fastapi": refusal(lambda: import_module("smscode.ext.fastapi")),
        "httpx2": refusal(lambda: Client("token", http="httpx2")),
        "otel": refusal(lambda: import_module("smscode.ext.otel")),
        "redis": refusal(lambda: Client("token", rate_limits=away)),
        "sandbox": command(6, "demo"),
    }
    for name, hint in hints.items():
        assert f'pip install "smscode-async[{name}]"' in hint, hint


def cli() -> None:
    """Use the command line."""
    assert "rent" in command(0, "--help")
    assert command(0, "--version") == f"smscode-async {version()}\n"
    assert "finished  10 of 10" in command(0, "demo", "--count", "10")
    rented = command(0, "rent", "--sandbox", "--service", "whatsapp", "--country", "indonesia", "--yes")
    assert re.match(r"order\t\d+\nnumber\t\+62\d+\ncode\t\d{6}\n", rented), rented  # stderr follows
    assert re.search(r"\nFinished; \$\d+\.\d+ was charged\.\n", rented), rented
    command(5, "rent", "--sandbox", "--service", "whatsapp", "--country", "indonesia")
    command(0, "doctor", "--sandbox")
    assert "USD" in command(0, "balance", "--json")


def sandbox() -> None:
    """Serve the sandbox, and use it as another program would."""
    from smscode import Client

    assert "finished  10 of 10" in command(0, "demo", "--count", "10")
    run = [str(Path(sys.executable).parent / "smscode"), "sandbox", "--port", "0"]
    pipe = subprocess.PIPE
    with subprocess.Popen(run, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        try:
            found = re.fullmatch(r"listening on (\S+) token (\S+)\n", process.stdout.readline())
            assert found is not None
            with Client(found[2], base_url=found[1]) as client:
                assert client.balance().balance.amount > 0
        finally:
            process.terminate()


def stack(name: Literal["httpx2", "aiohttp"]) -> Callable[[], None]:
    """Return a check that a client rents over another HTTP library."""

    def check() -> None:
        from smscode import AsyncClient

        async def rent() -> None:
            async with AsyncClient(http=name) as client, client.orders.rent(catalog_product_id=87) as rental:
                assert (await rental.wait_for_otp(timeout=30)).code.isdigit()
            assert {"httpx2": "httpcore2", "aiohttp": "aiohttp"}[name] in sys.modules

        asyncio.run(rent())

    return check


def fast() -> None:
    """Read a list, by msgspec."""
    from smscode import Client
    from smscode.core.decoding import rows_msgspec

    with Client() as client:
        assert len(client.catalog.products().items) > 1
    assert rows_msgspec._decoder.cache_info().currsize > 0, "msgspec decoded nothing"


def fastapi() -> None:
    """Serve an application in this process: a client, its errors, and a webhook endpoint."""
    import httpx
    from fastapi import FastAPI

    from smscode import Balance, webhooks
    from smscode.ext.fastapi import ClientDep, add_error_handlers, lifespan, webhook_router

    received: list[webhooks.Event] = []
    app = FastAPI(lifespan=lifespan())
    add_error_handlers(app)

    @app.get("/balance")
    async def balance(client: ClientDep) -> Balance:
        return await client.balance()

    @app.get("/order")
    async def order(client: ClientDep) -> None:
        await client.orders.get(404)

    app.include_router(webhook_router(received.append, secret="of the check", path="/hook"))

    async def use() -> None:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app) as state,
            httpx.AsyncClient(transport=transport, base_url="http://app") as web,
        ):
            assert state is not None
            answer = await web.get("/balance")
            assert answer.json()["balance"]["currency"] == "USD", answer.text
            assert (await web.get("/order")).status_code == 404
            body = b'{"event": "webhook.test", "timestamp": null, "data": {"message": "ping"}}'
            assert (await web.post("/hook", content=body)).status_code == 401
            signed = {webhooks.SIGNATURE_HEADER: webhooks.sign(body, "of the check")}
            assert (await web.post("/hook", content=body, headers=signed)).is_success
            assert len(received) == 1
            assert "/balance" in (await web.get("/openapi.json")).json()["paths"]

    asyncio.run(use())


def otel() -> None:
    """Make spans and metrics of a call, with the API alone, which drops them."""
    from smscode import Client
    from smscode.ext.otel import telemetry

    with Client(on_event=telemetry()) as client:
        assert client.balance().balance.amount > 0


def redis() -> None:
    """Share limits and webhooks through a Redis that is away, which costs a part of the limits only."""
    from smscode import Client, RateLimits
    from smscode.ext.relay import EventRelay

    away = "redis://127.0.0.1:1/0"  # nothing can listen there
    with Client(rate_limits=RateLimits(redis=away)) as client:
        assert client.balance().balance.amount > 0
        with EventRelay(away, client, secret="of the check"):
            pass


def test() -> None:
    """Load pytest's plugin, and run a test with it."""
    import_module("hypothesis")
    program = "def test_it(smscode_client):\n    assert smscode_client.balance().balance.amount > 0\n"
    Path("test_installed.py").write_text(program)
    Path("pytest.ini").write_text("[pytest]\n")  # not the settings of this tree, which leave the plugin out
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_installed.py"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def vendor_first() -> None:
    """Import the package, and ask `doctor`, where it lies over the vendor's SDK."""
    done = subprocess.run(
        [sys.executable, "-c", "import smscode"], capture_output=True, text=True, check=True
    )
    assert "smscode-async was installed over the vendor's SDK" in done.stderr, done.stderr
    assert "pip uninstall --yes smscode smscode-async" in command(1, "doctor", "--sandbox")


def vendor_last() -> None:
    """Start the command where the vendor's SDK lies over the package."""
    said = command(6, "doctor")
    assert "The vendor's SDK (smscode) was installed over smscode-async" in said, said


CHECKS: Mapping[str, Callable[[], None]] = {
    "none": without,
    "aiohttp": stack("aiohttp"),
    "cli": cli,
    "fast": fast,
    "fastapi": fastapi,
    "httpx2": stack("httpx2"),
    "otel": otel,
    "redis": redis,
    "sandbox": sandbox,
    "test": test,
    "vendor-first": vendor_first,
    "vendor-last": vendor_last,
}

if __name__ == "__main__":
    for name in sys.argv[1:]:
        if not name.startswith("vendor"):
            installed()
        CHECKS[name]()
