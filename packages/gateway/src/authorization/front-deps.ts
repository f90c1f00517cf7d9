import type { EndingDeps } from '../ending/ending.ts'

/** What the endpoints of the authorization server work with: the domain's dependencies, and the providers by their key in `config.providers`. */
export type FrontDeps = EndingDeps
