"""Delivery to a webhook. Its address is a secret: no error and no log line holds it."""

import json
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pydantic import SecretStr

from orchestration.errors import JourneyGapsError

TIMEOUT_SECONDS = 10
TRIES = 3
BACKOFF_SECONDS = 1.0
TOO_MANY_REQUESTS = 429


class DeliveryError(JourneyGapsError):
    """A message that was not taken; the message says why, and never to which address."""


class _NoRedirect(HTTPRedirectHandler):
    """A webhook answers by itself; its address is not carried elsewhere."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Never: the redirect becomes an HTTPError."""


def post(
    webhook: SecretStr, content: dict[str, Any], sleep: Callable[[float], None] = time.sleep
) -> None:
    """Post a JSON object, trying again where the receiver asks for it or has trouble.

    Raises DeliveryError after TRIES tries, or at once where the receiver refuses it.
    """
    try:
        request = Request(  # noqa: S310 (settings allow http and https only)
            webhook.get_secret_value(),
            data=json.dumps(content, ensure_ascii=False).encode(),
            headers={"Content-Type": "application/json; charset=utf-8"},
        )
    except ValueError:
        raise DeliveryError("JOURNEY_GAPS_ALERT_WEBHOOK is no address") from None
    for attempt in range(1, TRIES + 1):
        reason, is_passing = _attempt(request)
        if reason is None:
            return
        if not is_passing or attempt == TRIES:
            tries = "1 try" if attempt == 1 else f"{attempt} tries"
            raise DeliveryError(f"the webhook {reason} ({tries})")
        sleep(BACKOFF_SECONDS * 2 ** (attempt - 1))


def _attempt(request: Request) -> tuple[str | None, bool]:
    """Why it was not taken, None where it was, and whether that may pass."""
    try:
        with build_opener(_NoRedirect).open(request, timeout=TIMEOUT_SECONDS):
            return None, False
    except HTTPError as error:
        error.close()
        is_passing = error.code == TOO_MANY_REQUESTS or error.code >= 500
        return f"answered {error.code}", is_passing
    except URLError as error:
        # Its reason is the operating system's, or the text of a TLS error: no address.
        cause = error.reason
        why = cause.strerror if isinstance(cause, OSError) else None
        return f"cannot be reached: {why or type(cause).__name__}", True
    except (OSError, HTTPException, ValueError) as error:
        return f"cannot be reached: {type(error).__name__}", True
