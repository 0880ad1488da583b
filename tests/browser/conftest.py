"""One browser and one house for all of these tests: an installation with a month of history, and nobody who fires."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.chromium import NoBrowserError, chromium
from tests.support.house import House
from tests.support.recording_receiver import Receiver
from tests.support.seeded_house import seeded_house
from tests.support.visitor import Visitor, window

#: Enough for a page of each list, and for every kind of ending.
_DAYS = 2


# Of the package, not of the session: playwright keeps an event loop in this thread, beside which Django won't ask its
# database in the tests that come later.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    try:
        with chromium() as made:
            yield made
    except NoBrowserError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with seeded_house(tmp_path_factory.mktemp("house"), days=_DAYS) as made:
        yield made


@pytest.fixture(scope="package")
def state(house: House, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The administrator's cookies, from one visit to the login form."""
    kept = tmp_path_factory.mktemp("state") / "cookies.json"
    with window(browser) as context:
        visitor = Visitor(house, context.new_page())
        visitor.log_in()
        context.storage_state(path=kept)
    return str(kept)


@pytest.fixture
def visitor(house: House, browser: Browser, state: str) -> Iterator[Visitor]:
    """An administrator on a desktop, logged in."""
    with window(browser, state=state) as context:
        yield Visitor(house, context.new_page())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()
