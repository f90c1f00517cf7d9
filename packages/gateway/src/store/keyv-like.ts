import { ConfigError } from '../errors/errors.ts'

/** What the gateway uses of a Keyv, 5 or 6: known by its structure, as a team may have several copies of the package. */
export interface KeyvLike {
  get(key: string): Promise<unknown>
  set(key: string, value: string, ttlMs?: number): Promise<unknown>
  delete(key: string): Promise<unknown>
  on(event: string, listener: (error: unknown) => void): unknown
}

/** One layer under a Keyv: the adapter, or (Keyv 6) its bridge to an older adapter. */
type Layer = Record<string, unknown>

/** Whether a value is a Keyv and not, for example, an adapter, whose `set` may count life in another way. */
export function isKeyv(value: unknown): value is KeyvLike {
  if (!isLayer(value) || !isLayer(value.store) || !('stats' in value)) return false
  return ['get', 'set', 'delete', 'on'].every((method) => typeof value[method] === 'function')
}

/** The layers under a Keyv, outermost first; the last is the adapter or the Map that holds the data. Keyv 6 wraps Maps and older adapters. */
export function layersOf(keyv: KeyvLike): Layer[] {
  const { store } = keyv as unknown as Layer
  if (!isLayer(store)) return []
  return isWrapper(store) && isLayer(store.store) ? [store, store.store] : [store]
}

/** Whether the data of a Keyv is in a Map of this process. A Map of another realm counts, so no `instanceof`. */
export function isMapBacked(keyv: KeyvLike): boolean {
  return Object.prototype.toString.call(layersOf(keyv).at(-1)) === '[object Map]'
}

/**
 * Checks that a Keyv keeps different keys apart, and makes it tell of its failures.
 *
 * @throws ConfigError when its adapter has the namespace of another Keyv, or its `sanitize` option changes keys
 */
export function prepareKeyv(keyv: KeyvLike): void {
  const outer = keyv as unknown as Layer
  if (hasForeignNamespace(keyv)) {
    throw new ConfigError(
      'store',
      "another Keyv has set its own namespace on this Keyv's adapter, and an adapter knows only the last one: give the gateway an adapter of its own",
    )
  }
  const { sanitize } = outer as { sanitize?: { cleanKey?: (key: string) => string } }
  const probe = 'emcy:a--b'
  if (sanitize?.cleanKey && sanitize.cleanKey(probe) !== probe) {
    throw new ConfigError('store', "leave the Keyv option sanitize.keys out: it strips characters, so that two records' keys could become one")
  }
  // Keyv 5 and its adapters answer a failed read with undefined unless told otherwise.
  for (const layer of [outer, ...layersOf(keyv)]) if (layer.throwOnErrors === false) layer.throwOnErrors = true
}

/** The namespaces that stand under a Keyv now, for comparison: a second Keyv on one adapter renames the first one's keys. */
export function namespacesUnder(keyv: KeyvLike): string {
  // On a Map it is Keyv itself that adds the namespace, so a second Keyv does no harm.
  return isMapBacked(keyv) ? '' : JSON.stringify(layersOf(keyv).map((layer) => layer.namespace ?? null))
}

function hasForeignNamespace(keyv: KeyvLike): boolean {
  if (isMapBacked(keyv)) return false
  const own = (keyv as unknown as Layer).namespace ?? ''
  return layersOf(keyv).some((layer) => typeof layer.namespace === 'string' && layer.namespace !== own)
}

function isLayer(value: unknown): value is Layer {
  return typeof value === 'object' && value !== null
}

/** Told by a method that only Keyv's own wrappers have: an adapter may have a `store` of its own, which says nothing of where its data is. */
function isWrapper(layer: Layer): boolean {
  return typeof layer.getKeyPrefixData === 'function'
}
