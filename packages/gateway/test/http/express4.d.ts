// The alias of Express 4 in package.json has no types of its own; what the tests use of it is the same in both.
declare module 'express4' {
  export { default } from 'express'
}
