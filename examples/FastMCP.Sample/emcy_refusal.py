"""Optional, beside emcy_worker.py: tells the gateway that the API refused a user's token, so that it refreshes the token and tries again (worker contract, rule 5)."""

from fastmcp.exceptions import ToolError
from fastmcp.server.dependencies import get_http_request
from starlette.middleware import Middleware

REFUSAL = "emcy.refusal"


class AnswerRefusal:
    """Turns the API's refusal of the token into the status of this answer.

    A tool's exception alone would be a result with status 200. So the head waits for the first byte of the body: later than that it cannot change.
    """

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope.get("method") != "POST":
            return await self.app(scope, receive, send)
        head = None

        async def send_late(message):
            nonlocal head
            if message["type"] == "http.response.start":
                head = message
            elif scope.get(REFUSAL) is None or head is None:
                if head is not None:
                    await send(head)
                head = None
                await send(message)
            elif not message.get("more_body"):
                await send(scope[REFUSAL])
                await send({"type": "http.response.body"})

        await self.app(scope, receive, send_late)


def answer_refusal():
    """The ASGI middleware for `mcp.run(middleware=…)`, after that of the worker contract."""
    return [Middleware(AnswerRefusal)]


def token_refused(status: int, challenge: str | None) -> ToolError:
    """What a tool raises when the API answered 401, or 403 for a missing scope; `challenge` is the API's WWW-Authenticate."""
    headers = [(b"content-length", b"0")] + ([(b"www-authenticate", challenge.encode())] if challenge else [])
    get_http_request().scope[REFUSAL] = {"type": "http.response.start", "status": status, "headers": headers}
    return ToolError("the API refused the access token" if status == 401 else "the access token lacks a scope")
