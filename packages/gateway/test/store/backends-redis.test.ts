import { startRedis, startRedisCluster, startValkey } from '../servers/redis.ts'
import { contractOn } from './backend-contract.ts'

contractOn('redis', async () => [await startRedis()])
contractOn('redis cluster', startRedisCluster)
contractOn('valkey', async () => [await startValkey()])
