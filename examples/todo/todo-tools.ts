import { McpServer } from '@modelcontextprotocol/server'
import { z } from 'zod'
import type { TodoApi } from './todo-api-client.ts'

const Todo = z.object({ id: z.number(), title: z.string(), done: z.boolean() })
const id = z.number().int().positive().describe('Number of the todo, from list_todos')
const inputs = { none: z.object({}), title: z.object({ title: z.string().min(1).max(200).describe('What is to be done') }), id: z.object({ id }) }

function answer<T extends Record<string, unknown>>(value: T) {
  return { content: [{ type: 'text' as const, text: JSON.stringify(value) }], structuredContent: value }
}

/**
 * The MCP server with its four tools, for one request.
 *
 * @param api gives the Todo API with this call's user token; asked only by the tools, so that lists need none
 */
export function todoServer(api: (signal: AbortSignal) => TodoApi): McpServer {
  const server = new McpServer({ name: 'todo', version: '1.0.0' })
  server.registerTool(
    'list_todos',
    {
      title: 'List todos',
      description: 'All todos of the user',
      inputSchema: inputs.none,
      outputSchema: z.object({ todos: z.array(Todo) }),
      annotations: { readOnlyHint: true },
    },
    async (_args, { mcpReq }) => answer({ todos: await api(mcpReq.signal).list() }),
  )
  server.registerTool(
    'add_todo',
    {
      title: 'Add a todo',
      description: 'Adds a todo to the list of the user',
      inputSchema: inputs.title,
      outputSchema: Todo,
      annotations: { readOnlyHint: false, destructiveHint: false },
    },
    async ({ title }, { mcpReq }) => answer({ ...(await api(mcpReq.signal).add(title)) }),
  )
  server.registerTool(
    'complete_todo',
    {
      title: 'Complete a todo',
      description: 'Marks a todo as done',
      inputSchema: inputs.id,
      outputSchema: Todo,
      annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true },
    },
    async (args, { mcpReq }) => answer({ ...(await api(mcpReq.signal).complete(args.id)) }),
  )
  server.registerTool(
    'delete_todo',
    {
      title: 'Delete a todo',
      description: 'Deletes a todo for good',
      inputSchema: inputs.id,
      outputSchema: z.object({ deleted: z.number() }),
      annotations: { readOnlyHint: false, destructiveHint: true },
    },
    async (args, { mcpReq }) => {
      await api(mcpReq.signal).remove(args.id)
      return answer({ deleted: args.id })
    },
  )
  return server
}
