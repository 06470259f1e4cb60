-- arrive, on each new connection: ARGV[2] the store's id, [3] the server's run id, or '' to write nothing. Answers 1 if
-- this is the store, 0 if it is gone or another. Under another run id the server was started anew, or is another one:
-- what it was told last may be lost, so every lease is void, and the flows may be claimed at once. Nobody is blamed: that
-- is no recovery.
-- A user without a right that some script needs is refused before that script has written the half of what it should; so
-- far as the server can tell, which it can from 7.0 on.
local COMMANDS = { 'DEL', 'EXISTS', 'HDEL', 'HEXISTS', 'HGET', 'HGETALL', 'HINCRBY', 'HKEYS', 'HLEN', 'HMGET', 'HSET',
  'HVALS', 'LLEN', 'LRANGE', 'LREM', 'PUBLISH', 'RPUSH', 'SADD', 'SISMEMBER', 'SMEMBERS', 'SREM', 'TIME', 'ZADD', 'ZCARD',
  'ZPOPMIN', 'ZRANGE', 'ZRANGEBYSCORE', 'ZRANK', 'ZREM', 'ZREMRANGEBYSCORE', 'ZREVRANGEBYSCORE', 'ZSCORE' }
local ARGUMENTS = { DEL = { P }, EXISTS = { P }, TIME = {}, PUBLISH = { P .. 'bell', '' } }
if ARGV[3] ~= '' and redis.acl_check_cmd then
  for _, name in ipairs(COMMANDS) do
    if not redis.acl_check_cmd(name, unpack(ARGUMENTS[name] or { P, '1', '1' })) then
      return redis.error_reply('NOPERM this user has no permissions to run ' .. string.lower(name) .. ' on keys like ' .. P)
    end
  end
end
local meta = P .. 'meta'
if redis.call('HGET', meta, 'store_id') ~= ARGV[2] then
  return 0
end
if ARGV[3] ~= '' and redis.call('HGET', meta, 'run_id') ~= ARGV[3] then
  redis.call('HSET', meta, 'run_id', ARGV[3])
  for _, flow in ipairs(redis.call('ZRANGE', P .. 's=running', 0, -1)) do
    local key = P .. 'f:' .. flow
    local row = redis.call('HMGET', key, 'lane', 'lease_length', 'token')
    if row[3] ~= 'void' then -- else it is void from the start before, and nobody has claimed it since
      redis.call('HSET', key, 'token', 'void', 'due', now, 'alone', '0')
      redis.call('HINCRBY', key, 'recoveries', -1)
      redis.call('ZADD', leased(row[1], row[2]), now, flow)
    end
  end
  redis.call('PUBLISH', P .. 'bell', '')
end
return 1
