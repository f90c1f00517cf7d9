/** One check of the store contract, for any test runner: `it(check.name, check.run)`. */
export interface StoreCheck {
  name: string
  /** Rejects with an AssertionError when the store breaks the contract. */
  run(): Promise<void>
}
