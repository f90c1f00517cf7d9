"""The Todo tools in Python, behind Emcy Gateway: each call reaches the Todo API with the user's own token."""

import os
from typing import Annotated

import httpx2
from emcy_refusal import answer_refusal, token_refused
from emcy_worker import AccessToken, worker_contract
from fastmcp import FastMCP
from fastmcp.exceptions import ToolError
from pydantic import Field

mcp = FastMCP("todo")
todo_api = httpx2.AsyncClient(base_url=os.environ["TODO_API_URL"], timeout=10)

Title = Annotated[str, Field(min_length=1, max_length=200, description="What is to be done")]
Id = Annotated[int, Field(gt=0, description="Number of the todo, from list_todos")]


async def ask(method: str, path: str, token: str, **options):
    response = await todo_api.request(method, path, headers={"Authorization": f"Bearer {token}"}, **options)
    if response.status_code in (401, 403):
        raise token_refused(response.status_code, response.headers.get("www-authenticate"))
    if response.is_error:
        raise ToolError("There is no such todo" if response.status_code == 404 else f"The Todo API answered {response.status_code}")
    return response.json() if response.content else None


@mcp.tool(title="List todos", annotations={"readOnlyHint": True})
async def list_todos(token: str = AccessToken()) -> dict:
    """All todos of the user"""
    return {"todos": await ask("GET", "/todos", token)}


@mcp.tool(title="Add a todo", annotations={"readOnlyHint": False, "destructiveHint": False})
async def add_todo(title: Title, token: str = AccessToken()) -> dict:
    """Adds a todo to the list of the user"""
    return await ask("POST", "/todos", token, json={"title": title})


@mcp.tool(title="Complete a todo", annotations={"readOnlyHint": False, "destructiveHint": False, "idempotentHint": True})
async def complete_todo(id: Id, token: str = AccessToken()) -> dict:
    """Marks a todo as done"""
    return await ask("POST", f"/todos/{id}/complete", token)


@mcp.tool(title="Delete a todo", annotations={"readOnlyHint": False, "destructiveHint": True})
async def delete_todo(id: Id, token: str = AccessToken()) -> dict:
    """Deletes a todo for good"""
    await ask("DELETE", f"/todos/{id}", token)
    return {"deleted": id}


if __name__ == "__main__":
    # Several secrets, separated by commas, are accepted while one replaces another.
    secrets = os.environ["EMCY_WORKER_SECRET"].split(",")
    port = int(os.environ.get("PORT", "8000"))
    middleware = worker_contract(*secrets) + answer_refusal()
    mcp.run(transport="http", host="127.0.0.1", port=port, path="/mcp", show_banner=False, middleware=middleware)
