"""A stranger opens every page and finds the sign-in form, however the page is reached."""

from __future__ import annotations

import ast

import pytest
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from core import users
from core.access import SYSTEM, Role
from core.app import App
from tests.ui.conftest import ROOT, Console, open_page, said

PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "pages").glob("*/*.py")
    if not path.name.startswith("_") and path.parent.name != "_ui"
)


def finds_nothing(at: AppTest) -> None:
    assert not at.exception
    assert [field.label for field in at.text_input] == ["Username", "Password"]
    shown = (at.dataframe, at.metric, at.selectbox, at.sidebar.button, at.download_button, at.file_uploader)
    assert not any(shown)
    assert [title.value for title in at.title] == ["Postyard"]


def test_every_page_is_listed_and_none_lies_where_streamlit_would_find_it_by_itself() -> None:
    home = (ROOT / "Home.py").read_text()
    assert len(PAGES) == 13
    for page in PAGES:
        assert page.removeprefix("pages/").removesuffix(".py") in home
    assert [path.name for path in (ROOT / "pages").glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize("page", PAGES)
def test_the_first_line_of_every_page_is_the_gate(page: str) -> None:
    statements = ast.parse((ROOT / page).read_text()).body[1:]
    first = next(s for s in statements if not isinstance(s, ast.Import | ast.ImportFrom))
    assert ast.unparse(first).startswith("app, actor = begin(") or ast.unparse(first).startswith(
        "(app, actor) = begin("
    )


@pytest.mark.parametrize("page", PAGES)
def test_a_stranger_finds_the_form_and_nothing_else(console: Console, page: str) -> None:
    finds_nothing(open_page(console(None), page))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_run_by_itself_as_the_first_one_of_a_process_finds_nothing(bare_app: App, page: str) -> None:
    """Streamlit's fallback for folders named pages/ runs a file without Home.py."""
    PagesManager.uses_pages_directory = None
    finds_nothing(AppTest.from_file(ROOT / page, default_timeout=30).run())


def test_a_made_up_token_is_a_strangers(console: Console, bare_app: App) -> None:
    at = console(None)
    at.session_state["session_token"] = "made up"
    finds_nothing(at.run())


def test_before_anybody_is_made_the_form_says_how(console: Console, bare_app: App) -> None:
    assert "Nobody can sign in yet" in said(console(None))
    users.create(bare_app, SYSTEM, username="dora", name="Dora", role=Role.ADMIN)
    assert "Nobody can sign in yet" not in said(console(None))


def test_nothing_on_the_form_reports_by_itself_so_that_no_click_is_lost(console: Console) -> None:
    """A component's word starts the page anew: the library's, of its cookie, came while a password was being
    checked, and the form was drawn again as if nobody had pressed."""
    assert not console(None).get("component_instance")
