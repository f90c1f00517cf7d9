"""A fastmcp client that does the steps it is given and says, as one JSON line a step, what came of each.

usage: client.py URL STEPS, where STEPS is a JSON list of {"do": "connect" | "list" | "call" | "expire" | "tokens" | "revoke" | "pause" | "close", …}.
Environment: MODE (auto, legacy or a revision), TOKEN (a bearer token; left out: OAuth through the browser that
BROWSER names, with a callback on CALLBACK_PORT).
"""

import asyncio
import json
import os
import sys
import time

import httpx2
from fastmcp import Client
from fastmcp.client.auth import OAuth
from key_value.aio.stores.memory import MemoryStore

URL, STEPS = sys.argv[1], json.loads(sys.argv[2])


def expire(oauth: OAuth) -> dict:
    """The stored access token becomes useless, and by the client's own clock it has expired: fastmcp refreshes by its clock alone."""
    tokens = oauth.context.current_tokens
    oauth.context.current_tokens = tokens.model_copy(update={"access_token": tokens.access_token[:-4] + "AAAA"})
    oauth.context.token_expiry_time = time.time() - 1
    return {}


async def revoke(oauth: OAuth) -> dict:
    """RFC 7009 as a public client; then what the access token is worth."""
    endpoint = str(oauth.context.oauth_metadata.revocation_endpoint)
    tokens = oauth.context.current_tokens
    form = {"token": tokens.refresh_token, "token_type_hint": "refresh_token", "client_id": oauth.context.client_info.client_id}
    async with httpx2.AsyncClient() as http:
        revoked = await http.post(endpoint, data=form)
        after = await http.post(URL, json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers={"authorization": f"Bearer {tokens.access_token}"})
    return {"revoked": revoked.status_code, "after": after.status_code, "challenge": after.headers.get("www-authenticate")}


async def call(client: Client, step: dict) -> dict:
    result = await client.call_tool(step["tool"], step.get("arguments", {}), raise_on_error=False, timeout=step.get("timeout", 30))
    return {"text": "\n".join(part.text for part in result.content if hasattr(part, "text")), "isError": result.is_error}


async def take(step: dict, client: Client, oauth: OAuth | None) -> dict:
    match step["do"]:
        case "connect":
            await client.__aenter__()
            return {"revision": client.protocol_version}
        case "list":
            return {"tools": [tool.name for tool in await client.list_tools()]}
        case "call":
            return await call(client, step)
        case "expire":
            return expire(oauth)
        case "tokens":
            return {"access_token": oauth.context.current_tokens.access_token, "client_id": oauth.context.client_info.client_id}
        case "pause":  # the test goes on when it has changed something
            await asyncio.to_thread(sys.stdin.readline)
            return {}
        case "revoke":
            return await revoke(oauth)
        case "close":
            await client.__aexit__(None, None, None)
            return {}
        case other:
            raise ValueError(f"unknown step {other}")


async def main() -> None:
    token = os.environ.get("TOKEN")
    oauth = None if token else OAuth(mcp_url=URL, client_name="Python Client", token_storage=MemoryStore(), callback_port=int(os.environ["CALLBACK_PORT"]), callback_timeout=60)
    client = Client(URL, auth=token or oauth, mode=os.environ.get("MODE", "auto"))
    for step in STEPS:
        try:
            outcome = await take(step, client, oauth)
        except Exception as error:  # what an app would catch: the words are the point
            outcome = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps({"do": step["do"], **outcome}), flush=True)


asyncio.run(main())
