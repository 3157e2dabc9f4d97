"""The documentation's programs run as they stand, and its pages hold together."""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

import smscode
import smscode.models
from smscode import AsyncClient, Client, RateLimits, RetryPolicy, Timeouts, errors, webhooks
from smscode.__main__ import main
from smscode.core.api.registry import ENDPOINTS
from smscode.core.purchases.states import LATE, VERDICTS
from smscode.core.retry import TABLE, Action, kind_of_status
from smscode.errors import API_ERRORS
from smscode.models import EndpointGroup, OrderStatus
from smscode.sandbox import Sandbox
from smscode.sandbox.control.history import OrderRented
from smscode.sandbox.control.routes import ROUTES
from smscode.sandbox.scenarios import described
from smscode.sandbox.transports.virtual import VirtualClient, VirtualTime

from .ext.redis_server import redis_server
from .programs import ROOT, Program, environment, modules_of, programs_of, run
from .public_surface import resources

PAGES = sorted((ROOT / "docs" / "pages").rglob("*.md"))
PROGRAMS = [
    program
    for page in PAGES
    for program in programs_of(page)
    # Those that name a file are tests, which tests/sandbox/test_pytest_plugin.py runs.
    if not re.match(r"# (conftest|test_\w+)\.py$", program.source.strip().splitlines()[0])
]
SHELL = [
    command.strip()
    for page in (*PAGES, ROOT / "README.md")
    for block in re.findall(r"^```shell\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    for command in line.split("&&")
]


def blocks(language: str) -> list[str]:
    """Return the blocks of a language on all pages."""
    fence = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [block for page in PAGES for block in fence.findall(page.read_text("utf-8"))]


STARTED = [
    " ".join(json.loads(command))
    for image in blocks("dockerfile")
    for command in re.findall(r"^CMD (.+)$", image, re.MULTILINE)
]
COMMANDS = sorted({line for line in (*SHELL, *STARTED) if re.match(r"(python -m )?smscode ", line)})
BODY = b'{"event":"webhook.test","timestamp":"2026-06-14T04:15:00+00:00","data":{"message":"ping"}}'
SHOP = ROOT / "docs" / "pages" / "how-to" / "shop.md"


def of_its_own(program: Program) -> bool:
    """Return True if a program starts processes, so that it needs one that is not the tests'."""
    return "ProcessPool" in program.source


@pytest.mark.parametrize("program", [p for p in PROGRAMS if not of_its_own(p)], ids=lambda p: p.name)
def test_every_program_runs_as_it_stands(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("uvicorn")
    needed = {"fastapi": "fastapi", "django": "django", "flask": "flask", "aiohttp": "from aiohttp"}
    needed |= {"redis": "REDIS", "opentelemetry": "otel", "celery": "from celery"}
    for module, word in needed.items():
        if word in program.source:
            pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    sandbox = Sandbox(otp_after=0)
    with ExitStack() as running:
        running.callback(logging.getLogger("smscode").setLevel, logging.NOTSET)
        server = running.enter_context(sandbox.serve())
        if "REDIS_URL" in program.source:
            monkeypatch.setenv("REDIS_URL", running.enter_context(redis_server()).url)
        monkeypatch.setenv("SMSCODE_TOKEN", sandbox.token)
        monkeypatch.setenv("SMSCODE_BASE_URL", server.url)
        monkeypatch.setenv("SMSCODE_WEBHOOK_SECRET", "a secret")
        monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.ext.django_settings")
        running.enter_context(modules_of(program.path, tmp_path))
        exec(compile(program.source, program.name, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize(
    "program",
    [p for p in PROGRAMS if ".recover()" in p.source and "FastAPI" not in p.source],
    ids=lambda p: p.name,
)
def test_every_program_that_recovers_goes_on_with_what_its_first_run_left(
    program: Program,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("uvicorn")
    monkeypatch.chdir(tmp_path)
    sandbox = Sandbox(otp_after=0)
    with sandbox.serve() as server:
        monkeypatch.setenv("SMSCODE_TOKEN", sandbox.token)
        monkeypatch.setenv("SMSCODE_BASE_URL", server.url)
        code = compile(program.source, program.name, "exec")
        exec(code, {"__name__": "__main__"})
        (rented,) = [entry for entry in sandbox.history if isinstance(entry, OrderRented)]
        capsys.readouterr()
        exec(code, {"__name__": "__main__"})
    shown = capsys.readouterr().out
    assert str(rented.order_id) in shown or rented.phone_number in shown


@pytest.mark.parametrize("printed", [20, 250], ids="killed after {}".format)
def test_the_batch_of_many_orders_is_started_again_and_loses_no_code(printed: int, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    program = programs_of(ROOT / "docs" / "pages" / "how-to" / "many-orders.md")[0]
    file = tmp_path / "program.py"
    file.write_text(program.source, encoding="utf-8")
    sandbox = Sandbox(otp_after=0, balance=16_250_000)
    code = re.compile(r"(\d+) (\d{6})\n")
    with sandbox.serve() as server:
        start = partial(
            subprocess.Popen[str],
            [sys.executable, "-u", str(file)],
            env=environment(sandbox, server.url),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with start() as first:
            assert first.stdout is not None
            before = [line for line in islice(first.stdout, printed + 1) if code.fullmatch(line)]
            if printed < 250:
                first.kill()
        assert len(before) == printed
        with start() as again:
            shown, trouble = again.communicate(timeout=60)
    assert (again.returncode, trouble) == (0, "")
    first_line, *after = shown.splitlines(keepends=True)
    assert first_line == "250 rented, 0 not available\n"
    assert {*before} <= {*after}
    assert len({line for line in after if code.fullmatch(line)}) == len(after) == 250
    with Client(sandbox.token, transport=sandbox.transport()) as client:
        statuses = [order.status for order in client.orders.iter()]
    assert statuses == [OrderStatus.COMPLETED] * 250, "each was bought once, and is finished"


@pytest.mark.parametrize("program", [p for p in PROGRAMS if of_its_own(p)], ids=lambda p: p.name)
def test_every_program_with_processes_runs_as_it_stands(program: Program, tmp_path: Path) -> None:
    assert run(program, tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("typer")

    class Stop:
        def wait(self, seconds: float) -> bool:
            """Serve no longer."""
            return True

    monkeypatch.setattr("smscode.cli.offline._stop", Stop())
    monkeypatch.setenv("SMSCODE_JOURNAL", str(tmp_path / "orders.db"))
    assert main(command.removeprefix("python -m ").split()[1:]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out


@pytest.mark.parametrize("line", [line for line in SHELL if line.startswith("curl ")])
def test_every_request_by_curl_is_answered(line: str) -> None:
    words = shlex.split(line)[1:]
    options = dict(zip(words[:-1:2], words[1::2], strict=True))
    assert set(options) <= {"-H", "-d"}
    name, _, value = options["-H"].partition(": ")
    sandbox = Sandbox(token="sandbox-token")
    with httpx.Client(transport=sandbox.transport()) as http:
        method, body = ("POST", options["-d"]) if "-d" in options else ("GET", None)
        answer = http.request(method, f"http://{words[-1]}", headers={name: value}, content=body)
    assert answer.status_code == 200, answer.text


POWERSHELL = [
    line
    for page in (*PAGES, ROOT / "README.md")
    for block in re.findall(r"^```powershell\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


def test_the_page_about_installing_has_every_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    page = (ROOT / "docs" / "pages" / "install.md").read_text("utf-8")
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == sorted({*extras} - {"test"})


def test_every_line_for_powershell_sets_what_is_read_or_is_answered() -> None:
    sandbox = Sandbox(token="sandbox-token")
    shared = '$sandbox = @{ Headers = @{ Authorization = "Bearer sandbox-token" } }'
    set_up = {"py -m venv .venv", r".venv\Scripts\Activate.ps1"}
    set_up |= {'python -m pip install "smscode-async[cli]"', "smscode doctor"}
    assert set_up < {*POWERSHELL}
    for line in {*POWERSHELL} - set_up:
        asks = re.fullmatch(r"Invoke-RestMethod @sandbox (?:-Method Post -Body '(.+)' )?(\S+)", line)
        if asks is None:
            sets = re.fullmatch(r'\$env:(SMSCODE_TOKEN|SMSCODE_BASE_URL) = ".+"', line)
            assert line == shared or sets, line
            continue
        with httpx.Client(transport=sandbox.transport()) as http:
            method, headers = "POST" if asks[1] else "GET", {"authorization": "Bearer sandbox-token"}
            answer = http.request(method, asks[2], headers=headers, content=asks[1])
        assert answer.status_code == 200, answer.text
    assert shared in POWERSHELL


def test_every_other_line_for_a_shell_installs_what_there_is_or_sets_what_is_read() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    others = {line for line in SHELL if line not in COMMANDS and not line.startswith("curl ")}
    fixed = {"python -m pytest", "python -m pip uninstall smscode"}
    fixed |= {"python3 -m venv .venv", ". .venv/bin/activate"}
    for line in others - fixed:
        installs = re.fullmatch(r'python -m pip install "?(?:\.|smscode-async)(?:\[(.+)\])?"?', line)
        sets = re.fullmatch(r"export (SMSCODE_TOKEN|SMSCODE_BASE_URL)=\S+", line)
        assert installs or sets, line
        assert not installs or not installs[1] or set(installs[1].split(",")) <= set(extras), line


def test_every_dockerfile_installs_this_package_and_starts_a_program() -> None:
    images = blocks("dockerfile")
    assert len(images) == 2
    for image in images:
        assert re.match(r"FROM python:3\.\d+-slim\nRUN python -m pip install .*\bsmscode-async", image)
        command = json.loads(re.findall(r"^CMD (.+)$", image, re.MULTILINE)[0])
        assert command == ["python", "main.py"] or " ".join(command) in COMMANDS


def test_the_log_is_as_shown(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    page = (ROOT / "docs" / "pages" / "how-to" / "observe.md").read_text("utf-8")
    (shown,) = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    sandbox = Sandbox()
    with caplog.at_level("DEBUG", "smscode"), VirtualClient(sandbox, VirtualTime(sandbox)) as client:
        client.balance()

    def of_any_call(line: str) -> str:
        line = re.sub(r"call \d+ ", "call N ", line)
        return re.sub(r"\d+\.\d{3} s|request id \S+", "S", line)

    logged = [f"{row.levelname}:{row.name}:{row.getMessage()}" for row in caplog.records]
    assert [of_any_call(line) for line in logged] == [of_any_call(line) for line in shown.splitlines()]


def generator() -> dict[str, Any]:
    """Return the names of `docs/generate.py`."""
    pytest.importorskip("typer")
    return runpy.run_path(str(ROOT / "docs" / "generate.py"))


def reference(name: str) -> str:
    """Return a page of the reference as it is built."""
    page = (ROOT / "docs" / "pages" / "reference" / name).read_text("utf-8")
    built: str = generator()["filled"](page)
    return built


def test_an_example_in_a_docstring_is_shown_as_a_program() -> None:
    source = "    Do it.\n\n    >>> for one in two:\n    ...     print(one)\n\n    Then more.\n"
    shown = (
        "    Do it.\n\n    ```python\n    for one in two:\n        print(one)\n    ```\n\n    Then more.\n"
    )
    assert generator()["with_examples"](source) == shown


def test_the_reference_of_the_command_line_has_every_command_and_option() -> None:
    typer = pytest.importorskip("typer")
    namespace, built = generator(), reference("command-line.md")
    command = typer.main.get_command(namespace["app"])
    webhook = command.commands.pop("webhook")
    for path, one in [*command.commands.items(), *((f"webhook {n}", c) for n, c in webhook.commands.items())]:
        section = built.partition(f"## smscode {path}\n")[2].partition("\n## ")[0]
        assert section, path
        for parameter in one.params:
            shared = parameter.name in namespace["EVERYWHERE"]
            name = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
            assert f"`{name}`" in (built if shared else section), (path, name)
    assert "| `--policy` `cheapest`, `best_success` |" in built
    assert "| `--limit` `1..1000000` | Most rows to show. Default: `20`. |" in built
    assert "| `--timeout` `SECONDS` |" in built


def test_the_pages_are_written_with_what_comes_from_the_code(tmp_path: Path) -> None:
    target = tmp_path / "docs"
    (target / "pages").mkdir(parents=True)
    (target / "pages" / "gone.md").write_text("a page of an earlier build", encoding="utf-8")
    generator()["generate"](target)
    written = {str(page.relative_to(target / "pages")) for page in (target / "pages").rglob("*.md")}
    assert written == {str(page.relative_to(ROOT / "docs" / "pages")) for page in PAGES}
    assert (target / "zensical.toml").is_file()
    assert "## smscode rent\n" in (target / "pages" / "reference" / "command-line.md").read_text("utf-8")
    assert "`NoOfferAvailableError`" in (target / "pages" / "reference" / "errors.md").read_text("utf-8")


@pytest.mark.asyncio
async def test_the_shop_holds_buys_and_reconciles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMSCODE_WEBHOOK_SECRET", "a secret")
    sandbox = Sandbox(otp_after=0)
    monkeypatch.setenv("SMSCODE_TOKEN", sandbox.token)
    names: dict[str, Any] = {}
    exec(programs_of(SHOP)[0].source, names)
    lifespan: Callable[[object], AbstractAsyncContextManager[None]] = names["lifespan"]
    with sandbox.serve() as server:
        monkeypatch.setenv("SMSCODE_BASE_URL", server.url)
        async with (
            lifespan(names["app"]),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app=names["app"]), base_url="http://shop"
            ) as browser,
        ):
            listed = await browser.get("/products", params={"service": "whatsapp", "country": "id"})
            unknown = await browser.get("/products", params={"service": "watsap", "country": "id"})
            wish = {"catalog_product_id": listed.json()[0]["id"], "shown_price": "1.50"}
            first = await browser.post("/sales/sale-1", params=wish)
            again = await browser.post("/sales/sale-1", params=wish)
            refused = await browser.post("/sales/sale-2", params={**wish, "shown_price": "0.01"})
            code = await browser.get("/sales/sale-1/code")
            signature = {webhooks.SIGNATURE_HEADER: webhooks.sign(BODY, "a secret")}
            signed = await browser.post("/smscode-webhook", content=BODY, headers=signature)
            forged = await browser.post("/smscode-webhook", content=BODY)
    assert first.json() == again.json(), "one sale is one order"
    assert len(sandbox.ledger) == 2, "the deposit and that order"
    assert (unknown.status_code, refused.status_code) == (404, 409)
    assert names["sales"]["sale-2"]["state"] == "given back"
    assert len(code.json()["code"]) == 6
    assert (signed.status_code, forged.status_code) == (204, 401)


@pytest.mark.asyncio
async def test_the_relay_passes_signed_webhooks_on(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("redis")
    page = ROOT / "docs" / "pages" / "how-to" / "processes.md"
    (program,) = [program for program in programs_of(page) if "AsyncEventRelay" in program.source]
    monkeypatch.setenv("SMSCODE_WEBHOOK_SECRET", "a secret")
    monkeypatch.setenv("SMSCODE_TOKEN", "token")
    names: dict[str, Any] = {}
    with redis_server() as redis:
        monkeypatch.setenv("REDIS_URL", redis.url)
        exec(program.source, names)
        async with (
            names["lifespan"](names["app"]),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app=names["app"]), base_url="http://shop"
            ) as service,
        ):
            signature = {webhooks.SIGNATURE_HEADER: webhooks.sign(BODY, "a secret")}
            signed = await service.post("/smscode-webhook", content=BODY, headers=signature)
            forged = await service.post("/smscode-webhook", content=BODY)
    assert (signed.status_code, forged.status_code) == (204, 401)


def test_every_call_that_the_pages_name_exists() -> None:
    for page in PAGES:
        for line in page.read_text("utf-8").splitlines():
            ours = line.partition("|")[2].partition("|")[2] if page.name == "vendor.md" else line
            for found in re.findall(r"`(?:await )?client\.([a-z_.]+)\(", ours):
                owner: Any = AsyncClient if found == "aclose" else Client
                for part in found.split("."):
                    owner = resources(owner).get(part) or getattr(owner, part)
                assert callable(owner), (page, found)


def test_every_method_has_a_section_with_its_errors() -> None:
    page = (ROOT / "docs" / "pages" / "reference" / "methods.md").read_text("utf-8")
    sections = dict(re.findall(r"^## ([\w.]+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    owners = {"": Client, **{f"{name}.": kind for name, kind in resources(Client).items()}}
    public = {f"{prefix}{name}" for prefix, kind in owners.items() for name in dir(kind) if name[0] != "_"}
    assert {*sections} == public - {*resources(Client), "close"}
    for name, section in sections.items():
        assert section.startswith(f"\n```text\n{name}("), name
        assert "\n```python\n" in section, name
        endpoint = ENDPOINTS.get("balance.get" if name == "balance" else name)
        stated = re.findall(r"`(\w+Error)`", section.partition("**Raises**")[2])
        if endpoint is not None:
            assert {API_ERRORS[code][0].__name__ for code in endpoint.refusals} <= {*stated}, name
        assert all(hasattr(errors, one) or hasattr(smscode, one) for one in stated), name


def test_the_table_of_limits_has_the_numbers_that_are_kept() -> None:
    page = (ROOT / "docs" / "pages" / "explanation" / "limits.md").read_text("utf-8")
    stated = re.findall(r"^\| `(\w+)` \| .* \| ([\d,]+) \|$", page, re.MULTILINE)
    kept = {group.value: getattr(RateLimits(), group.value) for group in EndpointGroup}
    assert {group: int(number.replace(",", "")) for group, number in stated} == kept


def test_the_tables_of_the_sandbox_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "pages" / "reference" / "sandbox.md").read_text("utf-8")
    _, _, scenarios = page.partition("\n## Scenarios\n")
    scenarios, _, routes = scenarios.partition("\n## Control routes\n")
    assert re.findall(r"^\| `(.+)` \| (.+) \|$", scenarios, re.MULTILINE) == [
        (scenario.form, scenario.about) for scenario in described()
    ]
    assert re.findall(r"^\| `(\w+) /_sandbox(.*)` \| (.+) \| (.*) \|$", routes, re.MULTILINE) == [
        (route.method, route.path, route.about, ", ".join(f"`{field.name}`" for field in route.fields))
        for route in ROUTES
    ]


def test_every_page_is_in_the_navigation() -> None:
    listed = (ROOT / "docs" / "zensical.toml").read_text("utf-8")
    pages = {str(page.relative_to(ROOT / "docs" / "pages")) for page in PAGES}
    assert {page for page in pages if f'= "{page}" }}' not in listed} == set()


# Riddles and dialect, with what a page says instead: `nobody` is "no process", `no code`, `it is unknown` ...
UNCLEAR = re.compile(
    r"\b(nobody|somebody|anybody|whoever|whatever becomes|sat out|in vain|of no use|old news|no news|anew"
    r"|wants? to be told|is told of|tells? of|makes of|believe a word|now and then|comes? of it)\b",
    re.IGNORECASE,
)


@pytest.mark.parametrize("page", [*PAGES, *sorted(ROOT.glob("*.md"))], ids=lambda page: page.name)
def test_every_page_is_in_plain_english(page: Path) -> None:
    text = page.read_text("utf-8")
    assert [found[0] for found in UNCLEAR.finditer(text)] == []


@pytest.mark.parametrize(
    "module",
    [
        *("calls", "events", "journal", "receiver", "sandbox", "webhooks"),
        *("ext.aiohttp", "ext.asgi", "ext.error_answers", "ext.fastapi", "ext.relay", "ext.wsgi"),
    ],
)
def test_every_name_of_a_public_module_is_in_the_reference(module: str) -> None:
    extra = {"ext.aiohttp": "aiohttp", "ext.fastapi": "fastapi", "ext.relay": "redis"}.get(module)
    if extra is not None:
        pytest.importorskip(extra)
    reference = "".join(page.read_text("utf-8") for page in PAGES if page.parent.name == "reference")
    names: list[str] = importlib.import_module(f"smscode.{module}").__all__
    whole = f"::: smscode.{module}\n" in reference
    assert [name for name in names if not whole and f".{name}\n" not in reference] == []


def test_every_field_of_every_model_is_explained_in_words() -> None:
    page = reference("models.md")
    for name in smscode.models.__all__:
        model = getattr(smscode.models, name)
        section = page.partition(f"\n## {name} {{ #smscode.models.{name} }}\n")[2].partition("\n## ")[0]
        names = [one.name for one in attrs.fields(model)] if attrs.has(model) else [*model.__members__]
        stated = re.findall(r"^\| `(\w+)` \| .+ \| (.+\.) \|$", section, re.MULTILINE)
        assert [one for one, _ in stated] == names, name


@pytest.mark.parametrize(
    ("heading", "options"),
    [("Client", Client), ("Timeouts", Timeouts), ("RetryPolicy", RetryPolicy), ("RateLimits", RateLimits)],
)
def test_every_option_is_in_the_reference_with_its_default(heading: str, options: type[Any]) -> None:
    page = (ROOT / "docs" / "pages" / "reference" / "options.md").read_text("utf-8")
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    stated = re.findall(r"^\| `(\w+)` \| `(.+?)` \| ", section, re.MULTILINE)
    taken = inspect.signature(options).parameters.values()
    defaults: list[tuple[str, object]] = [(one.name, one.default) for one in taken]
    assert stated == [
        (name, f"{type(value).__name__}()" if attrs.has(type(value)) else repr(value))
        for name, value in defaults
    ]


def test_every_public_name_is_in_the_reference() -> None:
    reference = "".join(page.read_text("utf-8") for page in PAGES if page.parent.name == "reference")
    whole = {"smscode.models", "smscode.money", "smscode.errors", "smscode.webhooks"}
    reference += "smscode.Timeouts\nsmscode.RetryPolicy\nsmscode.RateLimits\n"  # tables of their own
    for name in smscode.__all__:
        value = getattr(smscode, name)
        module = getattr(value, "__module__", "")
        twin = f"Async{name}" in smscode.__all__
        assert f"smscode.{name}\n" in reference or module in whole or twin or not isinstance(value, type), (
            name
        )


def follows_its_status(kind: str, table: Mapping[str, object]) -> bool:
    """Return True for a code of which a table says no more than its status does; a page may leave it out."""
    return kind in API_ERRORS and table[kind] == table[kind_of_status(API_ERRORS[kind][1])]


def test_the_table_of_troubles_is_the_one_that_is_followed() -> None:
    words = {
        Action.STOP: "raise",
        Action.RESEND: "send again",
        Action.RECONCILE: "read the order",
        Action.CHECK: "read the order if in doubt",
    }
    page = (ROOT / "docs" / "pages" / "explanation" / "failures.md").read_text("utf-8")
    stated = [
        row.strip("| ").split(" | ")[1:]
        for row in page.splitlines()
        if re.match(r"\| .* \| `[\w -]+` \| (raise|send|read)", row)
    ]
    followed = [
        [
            f"`{what}`",
            *(words[action] for action in (rule.read, rule.create, rule.transition, rule.resend)),
            f"`{rule.outcome}`",
        ]
        for what, rule in TABLE.items()
        if [f"`{what}`"] in [row[:1] for row in stated] or not follows_its_status(what, TABLE)
    ]
    assert stated == followed
    assert all(rule.config == rule.read for rule in TABLE.values())


def test_the_table_of_outcomes_is_the_one_that_purchases_follow() -> None:
    page = (ROOT / "docs" / "pages" / "explanation" / "failures.md").read_text("utf-8")
    _, _, section = page.partition("\n## What `outcome` says about a purchase\n")
    section, _, _ = section.partition("\n## ")
    stated: dict[str, tuple[list[str], list[str]]] = {}
    for row in re.findall(r"^\| [A-Z].*\|$", section, re.MULTILINE):
        _, kinds, no_attempt_open, attempt_open = row.strip("| ").split(" | ")
        if kinds != "`trouble`":
            outcomes = re.findall(r"`(\w+)`", no_attempt_open), re.findall(r"`(\w+)`", attempt_open)
            stated.update(dict.fromkeys(re.findall(r"`([\w -]+)`", kinds), outcomes))
    followed = {
        kind: ([one.outcome], [one.outcome_open, "rejected"] if one.settles == "late" else [one.outcome_open])
        for kind, one in VERDICTS.items()
        if kind in stated or not follows_its_status(kind, VERDICTS)
    }
    assert stated == followed
    assert f"{LATE:.0f} seconds" in section


def test_every_error_is_in_the_table() -> None:
    classes = {name for name in vars(errors) if name.endswith("Error")} - {"SmscodeError"}
    page = reference("errors.md")
    assert {name for name in classes if f"`{name}`" not in page} == set()
    assert all(f" {status} `{code}` |" in page for code, (_, status) in API_ERRORS.items())
