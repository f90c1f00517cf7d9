/** A JSON value, as tool arguments and claims are. */
export type Json = string | number | boolean | null | Json[] | { [name: string]: Json }
