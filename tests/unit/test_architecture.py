"""The rules of the house that no tool knows: what may import what, and what a first parameter promises."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROCESSES = [ROOT / name for name in ("Home.py", "console.py", "scheduler.py", "webhooks.py")]
MIGRATIONS = ROOT / "core" / "db" / "migrations"
MAX_LINES = 400
MAX_FUNCTION_LINES = 40
PURE_CALLS = {"frozenset", "timedelta", "tuple", "dict", "re.compile", "logging.getLogger"}


def python_files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if MIGRATIONS not in path.parents]


CORE = python_files("core")
PRODUCT = [
    *CORE,
    *python_files("simulator", "pages", "webpages"),
    *(path for path in PROCESSES if path.exists()),
]
PAGES = [path for path in python_files("pages") if "_ui" not in path.parts and path.name[0] != "_"]
PARTS = [path for path in python_files("pages") if path.name[0] == "_" and path.name != "__init__.py"]


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@functools.cache
def imported(tree: ast.Module) -> list[str]:
    """Every module a file imports, also inside functions."""
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append(str(node.module))
    return found


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    return [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]


def called(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """`receiver.method` of each call with a plain receiver, and its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


def importers(paths: list[Path], package: str) -> list[str]:
    return [
        str(path.relative_to(ROOT))
        for path in paths
        if any(name == package or name.startswith(f"{package}.") for name in imported(parsed(path)))
    ]


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines a reader must follow: without signature and docstring."""
    first = function.body[1 if ast.get_docstring(function) and len(function.body) > 1 else 0]
    return int(function.end_lineno or 0) - first.lineno + 1


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def test_the_core_never_imports_streamlit() -> None:
    assert importers([*CORE, ROOT / "scheduler.py", ROOT / "webhooks.py"], "streamlit") == []


def test_boto3_is_imported_in_two_files_only() -> None:
    allowed = {"core/providers/ses.py", "core/providers/queue.py"}

    assert set(importers(PRODUCT, "boto3")) <= allowed


def test_the_core_and_the_simulator_never_import_each_other() -> None:
    assert importers(CORE, "simulator") == []
    assert importers(python_files("simulator"), "core") == []


def test_nothing_imports_pickle() -> None:
    assert [*importers(PRODUCT, "pickle"), *importers(PRODUCT, "shelve"), *importers(PRODUCT, "dill")] == []


def test_no_page_lies_directly_in_pages() -> None:
    """Streamlit would serve it at its own address, past the log-in."""
    assert [path.name for path in (ROOT / "pages").glob("*.py") if path.name != "__init__.py"] == []


def test_there_are_pages() -> None:
    assert len(PAGES) >= 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_begins_with_its_gate(page: Path) -> None:
    assert re.match(r"app, actor = begin\(", ast.unparse(what_runs(page)[0]))


@pytest.mark.parametrize("part", PARTS, ids=lambda part: str(part.relative_to(ROOT)))
def test_a_part_of_a_page_does_nothing_when_it_is_imported(part: Path) -> None:
    assert [ast.unparse(node) for node in what_runs(part)] == []


def what_runs(path: Path) -> list[ast.stmt]:
    """A module's statements but for imports, definitions, docstrings and constants."""
    return [
        node
        for node in parsed(path).body
        if not isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        and not _is_constant(node)
    ]


def _is_constant(node: ast.stmt) -> bool:
    """`NAME = …` that calls constructors at most: draws nothing and asks nobody."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        return False
    return all(name in PURE_CALLS or name[0].isupper() for name, _ in called(node.value))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_stays_thin(page: Path) -> None:
    assert lines_of(page) <= 150


@pytest.mark.parametrize("part", PARTS, ids=lambda part: str(part.relative_to(ROOT)))
def test_a_part_of_a_page_stays_small(part: Path) -> None:
    assert lines_of(part) <= 200


def test_what_takes_a_session_neither_ends_its_transaction_nor_takes_the_app() -> None:
    found = []
    for path in CORE:
        for function in functions(parsed(path)):
            if parameters(function)[:1] != ["session"]:
                continue
            if "app" in parameters(function):
                found.append(f"{where(path, function.lineno)} takes app")
            found += [
                f"{where(path, line)} {name}"
                for name, line in called(function)
                if name in {"session.commit", "session.rollback", "session.close"}
            ]

    assert found == []


def test_time_and_ids_come_from_the_app() -> None:
    """So that a test, and a simulation of faults, can decide both."""
    forbidden = {"datetime.now", "datetime.utcnow", "uuid4", "uuid.uuid4", "time.time"}
    found = [
        f"{where(path, line)} {name}"
        for path in CORE
        if path != ROOT / "core" / "app.py"
        for name, line in called(parsed(path))
        if name in forbidden
    ]

    assert found == []


def test_no_file_is_longer_than_400_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in [*PRODUCT, *python_files("tests", "bench")]
        if (lines := lines_of(path)) > MAX_LINES
    }

    assert long == {}


def test_no_function_is_longer_than_40_lines() -> None:
    long = {
        f"{where(path, function.lineno)} {function.name}": lines
        for path in PRODUCT
        for function in functions(parsed(path))
        if (lines := body_lines(function)) > MAX_FUNCTION_LINES
    }

    assert long == {}


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in PRODUCT
        if path.read_text(encoding="utf-8").strip() and not ast.get_docstring(parsed(path))
    ]

    assert silent == []
