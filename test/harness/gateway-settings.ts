/** One server of {@link GatewaySettings}: as in the gateway's options, a runtime left out being the Todo runtime as a local handler. */
export interface ServerSettings {
  path: string
  runtime?: string | string[]
  workerSecret: string | string[]
  name?: string
  scopes?: string[]
  requiredScopes?: string[]
  grants?: 'own' | 'shared' | 'none'
  provider?: string
  policy?: object
  budgets?: object[]
  headers?: Record<string, string>
  origins?: string[]
  refusals?: 'agent' | 'http'
}

/** What the gateway is mounted in; `steps`: the public steps one by one with own middleware between; `prefix`: below a path that Express strips. */
export type Host = 'express5' | 'express4' | 'connect' | 'http' | 'steps' | 'prefix' | 'stripping proxy'

/** Options of a gateway in a process of its own, as JSON. */
export interface GatewaySettings {
  port: number
  /** `express5` when left out. */
  host?: Host
  publicUrl: string
  /** For local Todo runtimes. */
  apiUrl: string
  downstream?: object | undefined
  servers: Record<string, ServerSettings>
  store?: string
  replicas?: 'one' | 'many'
  secrets?: string[]
  clients?: object
  tokens?: object
  policy?: object
  budgets?: object[]
  limits?: object
  /** Identity providers of enterprise-managed authorization. */
  enterprise?: object
  consent?: object
  /** One JSON line an event, on the output of the process; left out, events come over its channel. */
  log?: 'stdout'
  /** How far the gateway's clock is ahead of the machine's. */
  clockOffsetMs?: number
}
