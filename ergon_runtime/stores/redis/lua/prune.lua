-- prune: ARGV[2] the time before which a flow must have ended, [3] at most so many. Answers how many went.
local before = '(' .. ARGV[2]
local gone = redis.call('ZRANGEBYSCORE', P .. 'ended', '-inf', before, 'LIMIT', 0, ARGV[3])
for _, flow in ipairs(gone) do
  local row = redis.call('HMGET', P .. 'f:' .. flow, 'status', 'parent')
  for _, packed in ipairs(redis.call('HVALS', P .. 'm:' .. flow)) do
    redis.call('DEL', P .. 'q:' .. pair(flow, cmsgpack.unpack(packed)[2]))
  end
  for _, kind in ipairs({ 'f:', 'j:', 'w:', 'm:', 'x:', 'v:', 'a:', 's:' }) do
    redis.call('DEL', P .. kind .. flow)
  end
  redis.call('ZREM', P .. 'all', flow)
  redis.call('ZREM', P .. 'ended', flow)
  redis.call('ZREM', P .. 's=' .. row[1], flow)
  if row[2] then
    redis.call('ZREM', P .. 'kids:' .. row[2], flow)
  end
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'names', '-inf', before)) do
  if redis.call('SISMEMBER', P .. 'alive', name) == 0 then
    redis.call('ZREM', P .. 'names', name)
  end
end
local signs = redis.call('HGETALL', P .. 'workers')
for i = 1, #signs, 2 do
  if tonumber(cmsgpack.unpack(signs[i + 1])[6]) < tonumber(ARGV[2]) then
    redis.call('HDEL', P .. 'workers', signs[i])
    redis.call('HDEL', P .. 'doing', signs[i])
    redis.call('DEL', P .. 'news:' .. signs[i])
  end
end
return #gone
