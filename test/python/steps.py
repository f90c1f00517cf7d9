"""Lets a test drive an MCP client: steps come as JSON lines on standard input, and each is answered by one JSON line.

The program's only argument is JSON too: {"url", "redirectUri", "name", "documentUrl"?, "authMethod"?, "mode"?, "opensLinks"?}.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlsplit

SETTINGS = json.loads(sys.argv[1])


def say(message: dict) -> None:
    print(json.dumps(message), flush=True)


async def hear() -> dict | None:
    line = await asyncio.to_thread(sys.stdin.readline)
    return json.loads(line) if line else None


class Browser:
    """The user's browser: it goes to a URL, and comes back to the client with parameters."""

    def __init__(self) -> None:
        self.came_back_with: dict[str, str] = {}

    async def open(self, url: str) -> None:
        say({"open": url})
        back = await hear()
        if back is None:
            raise RuntimeError("the browser did not come back")
        self.came_back_with = dict(parse_qsl(urlsplit(back["callback"]).query))


async def follow(url: str, message: str) -> str:
    """Lets the user open a link that the server asks for, and gives what they said to it."""
    say({"follow": url, "message": message})
    said = await hear()
    if said is None:
        raise RuntimeError("the user did not answer")
    return said["action"]


class Memory:
    """The token storage that an app has to bring."""

    def __init__(self) -> None:
        self.tokens, self.client = None, None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens) -> None:
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info) -> None:
        self.client = client_info


def messages(error: BaseException) -> str:
    """An exception's words, and those of all that a task group bundles."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(messages(each) for each in error.exceptions)
    return f"{type(error).__name__}: {error}"


async def together(times: int, call: Callable[[], Awaitable[tuple[str, bool]]]) -> dict:
    """Runs a call several times at once and gives what each said."""
    results = await asyncio.gather(*(call() for _ in range(times)))
    return {"texts": [text for text, _ in results], "isError": any(is_error for _, is_error in results)}


async def run(take: Callable[[dict], Awaitable[dict]]) -> None:
    """Takes steps until standard input ends. What an app would see as an exception is the outcome's error."""
    while (step := await hear()) is not None:
        try:
            outcome = await take(step)
        except Exception as error:
            outcome = {"error": messages(error)}
        say({"do": step["do"], **outcome})
