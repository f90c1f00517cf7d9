/** Clock difference allowed between replicas, in milliseconds. */
export const clockSkewMs = 5_000
