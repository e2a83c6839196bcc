"""Alerts: told once, to a real server; kept where it does not answer; the secret nowhere."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from orchestration.alerts import Alert, Kind, fingerprint, settle
from orchestration.alerts.book import Scope, open_alerts
from orchestration.alerts.webhook import DeliveryError, post
from orchestration.settings import PROJECT_DIR, Settings
from tests.receiver import TOKEN, Receiver, receiver

NOW = datetime(2026, 3, 2, 5, 20, tzinfo=UTC)
FAILED = Alert(Kind.RUN_FAILURE, "abc", "A run failed: disk full", ("disk full",), "run-1")
STALE = Alert(Kind.STALE_SOURCE, "crm:crm_accounts", "Source crm is stale", ("Nothing came.",))
RUNS, SOURCES = Scope.of_kinds(Kind.RUN_FAILURE), Scope.of_kinds(Kind.STALE_SOURCE)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with receiver() as kept:
        yield kept


@pytest.fixture
def make(tmp_path: Path, server: Receiver, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Settings of production, with the server as their webhook."""
    monkeypatch.setenv("JOURNEY_GAPS_ALERT_WEBHOOK", server.webhook)
    return partial(Settings, **{"home": tmp_path / "home", "env": "prod", "alert_format": "json"})


@pytest.fixture
def settings(make: Callable[..., Settings]) -> Settings:
    return make()


def lines(settings: Settings) -> list[dict[str, Any]]:
    log = settings.home / "alerts.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()]


def patient(*_: object) -> None:
    """In place of waiting."""


def test_an_alert_is_told_once_whatever_its_words(settings: Settings, server: Receiver) -> None:
    for minute in range(3):
        again = Alert(FAILED.kind, FAILED.subject, "A run failed", (f"{minute} left",), "run-2")
        settle(settings, [again if minute else FAILED], now=NOW + timedelta(minutes=minute))
    [message] = server.bodies
    assert message == {
        "kind": "run_failure",
        "status": "open",
        "environment": "prod",
        "key": "run_failure:abc",
        "title": "A run failed: disk full",
        "sentences": ["disk full"],
        "run_id": "run-1",
        "time": "2026-03-02T05:20:00+00:00",
    }
    [line] = lines(settings)
    assert (line["key"], line["status"], line["delivery"]) == ("run_failure:abc", "open", "sent")


def test_what_stays_open_is_said_again_after_a_day(settings: Settings, server: Receiver) -> None:
    for hours in (0, 23, 24, 25):
        settle(settings, [STALE], SOURCES, now=NOW + timedelta(hours=hours))
    assert [message["status"] for message in server.bodies] == ["open", "repeated"]
    # A clock that was moved back does not silence it.
    settle(settings, [STALE], SOURCES, now=NOW - timedelta(days=9))
    assert server.bodies[-1]["status"] == "repeated"
    assert len(server.bodies) == 3


def test_a_recovery_is_said_once_and_then_forgotten(settings: Settings, server: Receiver) -> None:
    settle(settings, [FAILED, STALE], now=NOW)
    for hours in (1, 2):
        settle(settings, [STALE], RUNS, now=NOW + timedelta(hours=hours))
    assert [(message["key"], message["status"]) for message in server.bodies[2:]] == [
        ("run_failure:abc", "recovered")
    ]
    assert server.bodies[-1]["sentences"] == ["Open since 2026-03-02 05:20 UTC."]
    assert [entry.key for entry in open_alerts(settings.home)] == [STALE.key]
    settle(settings, [FAILED], now=NOW + timedelta(hours=3))
    assert server.bodies[-1]["status"] == "open"


def test_what_was_not_looked_at_has_not_recovered(settings: Settings, server: Receiver) -> None:
    settle(settings, [STALE], now=NOW)
    settle(settings, [], RUNS, now=NOW + timedelta(hours=1))
    settle(settings, [], now=NOW + timedelta(hours=1))
    assert len(server.bodies) == 1
    assert [entry.key for entry in open_alerts(settings.home)] == [STALE.key]


def test_many_of_a_kind_are_one_message_and_a_line_each(
    settings: Settings, server: Receiver
) -> None:
    gaps = [Alert(Kind.WORSENED_GAP, str(n), f"Gap {n}", (f"Gap {n} fell.",)) for n in range(25)]
    settle(settings, gaps, now=NOW)
    [message] = server.bodies
    assert (message["title"], message["key"]) == ("25 gaps worsened", "worsened_gap")
    assert message["sentences"][0] == "Gap 0 fell."
    assert message["sentences"][-1] == "… and 15 more"
    assert len(lines(settings)) == 25


def test_slacks_format_has_no_markup_from_data(
    make: Callable[..., Settings], server: Receiver
) -> None:
    hostile = "<!channel> <https://evil.example|here> & \x1b[31mred\n" + "x" * 5000
    gap = Alert(Kind.WORSENED_GAP, "g", hostile, (hostile,) * 40, "run-1")
    settle(make(alert_format="slack"), [gap], now=NOW)
    [message] = server.bodies
    assert set(message) == {"text", "blocks"}
    assert message["text"].startswith("&lt;!channel&gt; &lt;https://evil.example|here&gt; &amp; ")
    text = server.raw[0]
    assert "<" not in text
    assert "\\u001b" not in text
    assert len(text) < 5_000
    assert len(message["blocks"]) == 13
    assert all(block["text"]["verbatim"] for block in message["blocks"][:-1])
    assert message["blocks"][-1]["elements"][0]["text"] == (
        "prod · worsened gap · 2026-03-02 05:20 UTC · run run-1"
    )


@pytest.mark.parametrize(("answers", "tries"), [([500, 503], 3), ([429], 2), ([], 1)])
def test_trouble_that_passes_is_waited_for(
    server: Receiver, answers: list[int], tries: int
) -> None:
    waited: list[float] = []
    server.answers = list(answers)
    post(SecretStr(server.webhook), {"text": "x"}, waited.append)
    assert len(server.bodies) == tries
    assert waited == [1.0, 2.0][: tries - 1]


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([500, 500, 500], r"^the webhook answered 500 \(3 tries\)$"),
        ([404], r"^the webhook answered 404 \(1 try\)$"),
        # A redirect would carry the message, and perhaps the secret, elsewhere.
        ([302], r"^the webhook answered 302 \(1 try\)$"),
    ],
)
def test_what_is_refused_says_why_and_never_where(
    server: Receiver, answers: list[int], said: str
) -> None:
    server.answers = list(answers)
    with pytest.raises(DeliveryError, match=said):
        post(SecretStr(server.webhook), {"text": "x"}, patient)
    assert len(server.bodies) == len(answers)
    assert all(path.startswith("/services/") for path in server.paths)


def test_a_webhook_that_fails_keeps_the_alert_for_later(
    settings: Settings, server: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers = [500] * 9
    send = partial(post, sleep=patient)
    with caplog.at_level(logging.DEBUG):
        settle(settings, [FAILED], now=NOW, send=send)
        assert len(server.bodies) == 3
        # Not every minute, neither on the wire nor in the log.
        settle(settings, [FAILED], now=NOW + timedelta(minutes=1), send=send)
        assert len(server.bodies) == 3
        settle(settings, [], now=NOW + timedelta(minutes=6), send=send)
    assert [line["delivery"] for line in lines(settings)] == [
        "pending: the webhook answered 500 (3 tries)"
    ]
    assert "the webhook answered 500 (3 tries)" in caplog.text
    assert TOKEN not in caplog.text
    server.answers = []
    settle(settings, [], now=NOW + timedelta(minutes=12), send=send)
    assert server.bodies[-1]["status"] == "open"
    assert [line["delivery"] for line in lines(settings)][1:] == ["sent"]
    settle(settings, [FAILED], now=NOW + timedelta(minutes=20), send=send)
    assert len(server.bodies) == 7


def test_nobody_listens_and_nothing_raises(
    make: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, server: Receiver
) -> None:
    monkeypatch.setenv("JOURNEY_GAPS_ALERT_WEBHOOK", f"http://127.0.0.1:1/{TOKEN}")
    settings, send = make(), partial(post, sleep=patient)
    settle(settings, [FAILED], now=NOW, send=send)
    [line] = lines(settings)
    assert line["delivery"].startswith("pending: the webhook cannot be reached: ")
    # Nor does a home that cannot be written.
    (settings.home / "alerts.json").unlink()
    (settings.home / "alerts.json").mkdir()
    settle(settings, [STALE], now=NOW, send=send)
    blocked = settings.home / "file"
    blocked.touch()
    settle(make(home=blocked / "home"), [STALE], now=NOW, send=send)
    assert server.bodies == []


def test_a_book_that_is_damaged_begins_anew(settings: Settings, server: Receiver) -> None:
    settle(settings, [FAILED], now=NOW)
    (settings.home / "alerts.json").write_text('{"alerts": {"run_fail')
    settle(settings, [FAILED], now=NOW + timedelta(minutes=1))
    assert len(server.bodies) == 2
    assert len(open_alerts(settings.home)) == 1


@pytest.mark.parametrize(
    ("given", "is_told"),
    [
        ({"env": "prod"}, True),
        ({"env": "dev"}, False),
        ({"env": "ci"}, False),
        ({"env": "prod", "alerts": False}, False),
        ({"env": "dev", "alerts": True}, True),
        ({"env": "prod", "alert_webhook": None}, False),
    ],
)
def test_who_is_told_in_each_environment(
    make: Callable[..., Settings], server: Receiver, given: dict[str, Any], is_told: bool
) -> None:
    settings = make(**given)
    settle(settings, [FAILED], now=NOW)
    assert bool(server.bodies) == is_told
    assert [line["delivery"] for line in lines(settings)] == ["sent" if is_told else "log only"]


def test_two_processes_tell_it_once(settings: Settings, server: Receiver) -> None:
    script = (
        "import sys\n"
        "from orchestration.alerts import Alert, Kind, settle\n"
        "from orchestration.settings import Settings\n"
        "alerts = [Alert(Kind.STALE_SOURCE, f'{n}:t', f'Source {n}') for n in range(20)]\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
        "for alert in alerts:\n"
        "    settle(Settings(home=sys.argv[1], env='prod', alert_format='json'), [alert])\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(settings.home)],
            cwd=PROJECT_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    for process in processes:
        assert process.wait(120) == 0
        assert process.stdout is not None
        process.stdout.close()
    assert sorted(message["title"] for message in server.bodies) == sorted(
        f"Source {n}" for n in range(20)
    )
    assert len(lines(settings)) == 20


def test_the_same_failure_has_the_same_key() -> None:
    one = "in use by run 0f0e4a1c-1111-4222-8333-123456789abc (pid 12, since 2026-03-02T05:20:00)"
    two = "in use by run aaaaaaaa-1111-4222-8333-aaaaaaaaaaaa (pid 4711, since 2026-03-03T05:20:01)"
    assert fingerprint(one) == fingerprint(two)
    assert fingerprint(one) != fingerprint("disk full")


@pytest.mark.parametrize(
    "address",
    [
        f"ftp://host/{TOKEN}",
        f"file:///etc/{TOKEN}",
        f"hooks.slack.com/{TOKEN}",
        f"https://user:{TOKEN}@host/x",
        f"https://host/{TOKEN} x",
        f"https://host/{TOKEN}\nx",
    ],
)
def test_an_address_that_is_none_is_refused_without_being_shown(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNEY_GAPS_ALERT_WEBHOOK", address)
    with pytest.raises(ValidationError, match=r"hooks\.slack\.com") as error:
        Settings()
    assert TOKEN not in str(error.value)
    assert TOKEN not in repr(error.value)


def test_the_secret_is_in_nothing_that_is_shown_or_handed_on(
    settings: Settings, server: Receiver
) -> None:
    assert settings.alert_webhook is not None
    shown = [repr(settings), str(settings), settings.model_dump_json(), str(settings.environ())]
    assert not any(TOKEN in text for text in shown)
    settle(settings, [FAILED], now=NOW)
    assert len(server.bodies) == 1
    for file in settings.home.rglob("*"):
        assert not file.is_file() or TOKEN not in file.read_text(), file
