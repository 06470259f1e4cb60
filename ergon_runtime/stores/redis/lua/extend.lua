-- extend: ARGV[2] length, ARGV[3..10] a sign of life (worker, lanes, host, pid, concurrency, silence, busy, doing; worker
-- '' for none), then flow and token of each lease. Answers flow, mail, flow, mail, ... of the leases that hold.
local length = tonumber(ARGV[2])
if ARGV[3] ~= '' then
  local silence = tonumber(ARGV[8])
  if silence > 0 then
    redis.call('HSET', P .. 'workers', ARGV[3],
      cmsgpack.pack({ ARGV[4], ARGV[5], ARGV[6], ARGV[7], string.format('%.0f', now), string.format('%.0f', now + silence) }))
    redis.call('HSET', P .. 'doing', ARGV[3], cmsgpack.pack({ string.format('%.0f', now), ARGV[9], ARGV[10] }))
  else
    redis.call('HDEL', P .. 'workers', ARGV[3])
    redis.call('HDEL', P .. 'doing', ARGV[3])
    redis.call('DEL', P .. 'news:' .. ARGV[3])
  end
end
local held = {}
for i = 11, #ARGV, 2 do
  local key = P .. 'f:' .. ARGV[i]
  local row = redis.call('HMGET', key, 'token', 'lane', 'lease_length')
  if row[1] and row[1] == ARGV[i + 1] then
    if tonumber(row[3]) ~= length then
      redis.call('ZREM', leased(row[2], row[3]), ARGV[i])
      redis.call('SADD', P .. 'n:' .. row[2], length)
    end
    redis.call('ZADD', leased(row[2], length), now + length, ARGV[i])
    redis.call('HSET', key, 'due', now + length, 'lease_length', length)
    held[#held + 1] = ARGV[i]
    held[#held + 1] = visible(ARGV[i])
  end
end
return held
