-- restore: a piece of another store is written, unless it is there. ARGV[2] its kind, then
--   flows    flow, ended or '', how many fields and values, those, then three lists, each after how many values it has:
--            waits (channel, number, since, number reserved or ''), messages (number, id, channel, body, where: mail,
--            reserved or aside), and ids sent (channel, id)
--   journal  flow, first sequence, entries
--   names    channel, id, time sent
--   kept     number, id, channel, body
-- Answers 0 if entries before the first are missing, -1 if the flow of a journal is, else 1.
local kind = ARGV[2]

local function reach(number)
  if tonumber(redis.call('HGET', P .. 'meta', 'counter')) < tonumber(number) then
    redis.call('HSET', P .. 'meta', 'counter', number)
  end
end

if kind == 'names' then
  redis.call('ZADD', P .. 'names', 'NX', ARGV[5], pair(ARGV[3], ARGV[4]))
  return 1
elseif kind == 'kept' then
  local number, id, channel = ARGV[3], ARGV[4], ARGV[5]
  redis.call('HSET', P .. 'kept', number, cmsgpack.pack({ id, channel, ARGV[6] }))
  redis.call('ZADD', P .. 'k:' .. channel, number, number)
  redis.call('SADD', P .. 'alive', pair(channel, id))
  reach(number)
  return 1
elseif kind == 'journal' then
  local key, missing = P .. 'j:' .. ARGV[3], tonumber(ARGV[4])
  local there = redis.call('LLEN', key)
  if redis.call('EXISTS', P .. 'f:' .. ARGV[3]) == 0 then
    return -1
  elseif there < missing then
    return 0
  end
  for i = 5 + there - missing, #ARGV do
    redis.call('RPUSH', key, ARGV[i])
  end
  return 1
end

local flow, ended = ARGV[3], ARGV[4]
local key = P .. 'f:' .. flow
if redis.call('EXISTS', key) == 1 then
  return 1
end
local at = 5
local function each(width, use)
  local count = tonumber(ARGV[at])
  for i = at + 1, at + count, width do
    use(unpack(ARGV, i, i + width - 1))
  end
  at = at + 1 + count
end

local row = {}
each(2, function(field, value)
  row[field] = value
  redis.call('HSET', key, field, value)
end)
redis.call('ZADD', P .. 'all', row.created, flow)
set_status(flow, nil, row.status, row.created)
redis.call('SADD', P .. 'p:' .. row.lane, row.priority)
if row.parent then
  redis.call('ZADD', P .. 'kids:' .. row.parent, row.created, flow)
end
if ended ~= '' then
  redis.call('ZADD', P .. 'ended', ended, flow)
end
if row.token then
  redis.call('SADD', P .. 'n:' .. row.lane, row.lease_length)
  redis.call('ZADD', leased(row.lane, row.lease_length), row.due, flow)
elseif row.due then
  redis.call('ZADD', queue(row.lane, row.priority), row.due, flow)
end
each(4, function(channel, number, since, reserved)
  redis.call('HSET', P .. 'w:' .. flow, channel, cmsgpack.pack({ tonumber(number), tonumber(since), reserved }))
  redis.call('ZADD', P .. 'on:' .. channel, row.created, flow)
  if reserved == '' and starts(channel, 'signal:') then
    redis.call('ZADD', P .. 'free:' .. channel, number, flow)
  end
  reach(number)
end)
each(5, function(number, id, channel, body, where)
  redis.call('HSET', P .. 'm:' .. flow, number, cmsgpack.pack({ id, channel, body }))
  reach(number)
  if where == 'aside' then
    redis.call('ZADD', P .. 'a:' .. flow, number, number)
    return
  end
  add_id(flow, id, number)
  if where == 'reserved' then
    redis.call('ZADD', P .. 'v:' .. flow, RESERVED + tonumber(number), number)
    redis.call('SADD', P .. 'alive', pair(channel, id))
    return
  end
  redis.call('RPUSH', P .. 'q:' .. pair(flow, channel), number)
  if ended == '' and (channel == 'cancel' or redis.call('HEXISTS', P .. 'w:' .. flow, channel) == 1) then
    redis.call('ZADD', P .. 'v:' .. flow, number, number)
  end
end)
each(2, function(channel, id)
  redis.call('SADD', P .. 's:' .. flow, pair(channel, id))
end)
return 1
