import type { Config, ServerConfig } from '../config.ts'
import type { Params } from '../http/params.ts'
import type { PendingRequest } from './pending.ts'

/** One scope on the consent page. */
export interface ScopeChoice {
  scope: string
  /** Name of its checkbox; undefined: the user cannot leave it out. */
  field: string | undefined
}

/**
 * Which scopes of a request the user may leave out (AZ-16): those that the server can do without, as long as there is a choice at all. The checkboxes go by number, since a scope may
 * be longer than the name of a parameter.
 */
export function scopeChoices(
  config: Pick<Config, 'consent'>,
  server: Pick<ServerConfig, 'requiredScopes'>,
  request: Pick<PendingRequest, 'scopes'>,
): ScopeChoice[] {
  const { scopes } = request
  const isChoice = config.consent.chooseScopes && scopes.length > 1
  return scopes.map((scope, index) => ({ scope, field: isChoice && !server.requiredScopes.includes(scope) ? `scope-${index}` : undefined }))
}

/**
 * The scopes that the user left switched on.
 *
 * @returns undefined when there were some and none is left
 */
export function chosenScopes(
  config: Pick<Config, 'consent'>,
  asked: { server: Pick<ServerConfig, 'requiredScopes'>; pending: { request: Pick<PendingRequest, 'scopes'> } },
  form: Pick<Params, 'get'>,
): string[] | undefined {
  const choices = scopeChoices(config, asked.server, asked.pending.request)
  const chosen = choices.filter(({ field }) => field === undefined || form.get(field) !== undefined).map(({ scope }) => scope)
  return chosen.length === 0 && choices.length > 0 ? undefined : chosen
}
