"""Password guessing at the dashboard is throttled with a clear message, and never locks the owner out."""

import datetime
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from core.limits.logins import (
    MAX_TRIES_PER_ACCOUNT,
    MAX_TRIES_PER_ADDRESS,
    WINDOW,
    Login,
    prune_login_tries,
)
from core.models import LoginTries

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def hashed_quickly(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def owner(db: None) -> Any:
    return get_user_model().objects.create_superuser("owner", password=PASSWORD)


def tried(client: Client, username: str = "owner", password: str = "wrong", **environ: Any) -> Any:  # noqa: S107
    return client.post("/admin/login/", {"username": username, "password": password, "next": "/admin/"}, **environ)


def shut(username: str = "owner") -> Client:
    """A new browser, after it used up an account's tries."""
    stranger = Client()
    for _ in range(MAX_TRIES_PER_ACCOUNT):
        assert tried(stranger, username).status_code == 200
    return stranger


def test_after_too_many_tries_the_right_password_is_refused_too(owner: Any) -> None:
    stranger = shut()
    answer = tried(stranger, password=PASSWORD)
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= WINDOW.total_seconds()
    assert "Too many login attempts. Try again in 15 minutes." in answer.content.decode()
    assert "_auth_user_id" not in stranger.session


def test_an_unknown_account_gets_the_same_answer(owner: Any) -> None:
    pages = []
    for username in ("owner", "nobody"):
        stranger = Client()
        answers = [tried(stranger, username) for _ in range(MAX_TRIES_PER_ACCOUNT + 1)]
        pages.append([(answer.status_code, form_errors(answer)) for answer in answers])
    assert pages[0] == pages[1]


def form_errors(answer: Any) -> list[str]:
    return [str(error) for error in answer.context["form"].non_field_errors()]


@pytest.mark.parametrize("written", ["OWNER", " owner ", "\uff4fwner"])
def test_other_spellings_of_a_name_are_the_same_account(owner: Any, written: str) -> None:
    shut()
    assert tried(Client(), written).status_code == 429


def test_the_wait_expires_and_further_tries_do_not_extend_it(owner: Any) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        stranger = shut()
        clock.shift(WINDOW - datetime.timedelta(seconds=1))
        assert tried(stranger).status_code == 429
        clock.shift(datetime.timedelta(seconds=2))
        assert tried(stranger, password=PASSWORD).status_code == 302


def test_a_known_browser_is_not_locked_out_by_a_guesser(owner: Any) -> None:
    known = Client()
    assert tried(known, password=PASSWORD).status_code == 302
    cookie = known.cookies["hourhand_browser"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    known.cookies.pop("hourhand_session")
    shut()
    assert tried(Client(), password=PASSWORD).status_code == 429
    assert tried(known, password=PASSWORD).status_code == 302
    assert tried(Client(), password=PASSWORD).status_code == 429, "and did not let the guesser in again"


def test_a_known_browser_has_a_limit_too_and_its_cookie_is_of_one_account(owner: Any) -> None:
    get_user_model().objects.create_superuser("other", password=PASSWORD)
    known = Client()
    tried(known, password=PASSWORD)
    for _ in range(MAX_TRIES_PER_ACCOUNT):
        tried(known)
    assert tried(known, password=PASSWORD).status_code == 429
    shut("other")
    assert tried(known, "other").status_code == 429


def test_an_invented_cookie_counts_for_nothing(owner: Any) -> None:
    stranger = shut()
    stranger.cookies["hourhand_browser"] = "made-up:value:signature"
    assert tried(stranger).status_code == 429


def test_one_address_tries_many_accounts_only_so_often(owner: Any) -> None:
    sprayer, here = Client(), {"REMOTE_ADDR": "203.0.113.9"}
    statuses = [tried(sprayer, f"name-{number}", **here).status_code for number in range(MAX_TRIES_PER_ADDRESS + 2)]
    assert statuses == [200] * MAX_TRIES_PER_ADDRESS + [429] * 2
    assert tried(Client(), "another", REMOTE_ADDR="203.0.113.10").status_code == 200


def test_logging_in_resets_the_tries(owner: Any) -> None:
    person = Client()
    for _ in range(MAX_TRIES_PER_ACCOUNT - 1):
        tried(person)
    assert tried(person, password=PASSWORD).status_code == 302
    assert tried(Client()).status_code == 200


def test_the_operator_can_end_the_wait(owner: Any) -> None:
    stranger = shut()
    call_command("forget_login_tries")
    assert tried(stranger, password=PASSWORD).status_code == 302


def test_expired_tries_are_deleted(owner: Any) -> None:
    tried(Client())
    now = timezone.now()
    assert prune_login_tries(now) == 0
    assert prune_login_tries(now + WINDOW) == 2
    assert not LoginTries.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_tries_at_the_same_time_count_each() -> None:
    def once(_number: int) -> int:
        try:
            return Login("owner", "203.0.113.9", None).begin(timezone.now())
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        waits = list(threads.map(once, range(24)))
    assert waits.count(0) == MAX_TRIES_PER_ACCOUNT
