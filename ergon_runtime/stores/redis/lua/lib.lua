-- What the scripts share: the keys of a namespace, flows and their places in the agenda, mailboxes and reservations.
--
-- KEYS[1] is the namespace's prefix, `{name}:`; every key begins with it, so all lie in one slot of a cluster. KEYS[2],
-- if given, is the prefix and the id of the store that is meant: another, or none, is left alone. ARGV[1] is the time in
-- milliseconds, or '' for the server's own clock. A script reads and checks first, then writes: an error raised by Redis
-- in the middle would leave what was written before.
--
--   f:<flow>            hash    the flow
--   j:<flow>            list    its journal
--   w:<flow>            hash    channel -> place in the order of waits, since, and the reserved message or ''
--   m:<flow>            hash    number -> message in its mailbox, reserved for it, or put aside
--   x:<flow>            hash    message id -> numbers, of mail and reserved messages
--   q:<flow>:<channel>  list    numbers of the mail on a channel
--   v:<flow>            zset    numbers of what it hears: its own mail, then what is reserved for it
--   a:<flow>            zset    numbers of messages put aside
--   s:<flow>            set     ids of messages it was ever sent
--   d:<priority>:<lane> zset    flows without a lease, by due time;  p:<lane> the priorities that occur
--   l:<length>:<lane>   zset    leased flows, by the end of the lease;  n:<lane> the lengths that occur
--   k:<channel>         zset    numbers of messages to a name that nobody has reserved;  kept: number -> message
--   free:<channel>      zset    flows that wait on a name without a reservation, by place
--   on:<channel>        zset    flows that wait on a channel, by time created
--   names, alive        zset and set: ids sent to names by time; those whose message is kept or reserved
--   all, ended, s=<status>, kids:<parent>   zsets of flows by time created (ended: by time ended)
--   workers             hash    signs of life;  news:<worker> zset: its flows that got mail, by the counter
--   doing               hash    worker -> when it was seen, how many flows it advanced, and which steps ran then
--   meta                hash    store_id, hash_seed, schema, counter, run_id, copy_of; key:<id> -> the check of that key

local P = KEYS[1]
if KEYS[2] and redis.call('HGET', P .. 'meta', 'store_id') ~= string.sub(KEYS[2], #P + 1) then
  return redis.error_reply('ERGONGONE the store is not here')
end
local RESERVED = 4503599627370496 -- 2^52: reserved messages are heard after a flow's own mail
local now
if ARGV[1] ~= '' then
  now = tonumber(ARGV[1])
else
  local t = redis.call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
local stirred = false

local function tick()
  return redis.call('HINCRBY', P .. 'meta', 'counter', 1)
end

local function key_checks() -- sorted by id
  local ids, checks, meta = {}, {}, redis.call('HGETALL', P .. 'meta')
  for at = 1, #meta, 2 do
    if string.sub(meta[at], 1, 4) == 'key:' then
      ids[#ids + 1] = string.sub(meta[at], 5)
      checks[ids[#ids]] = meta[at + 1]
    end
  end
  table.sort(ids)
  local found = {}
  for _, id in ipairs(ids) do
    found[#found + 1] = id
    found[#found + 1] = checks[id]
  end
  return found
end

local function pair(flow, channel) -- no id or channel can be taken for another
  return #flow .. ':' .. flow .. ':' .. channel
end

local function behind(a, b) -- as sorted sets order them, whatever the server's locale
  for i = 1, math.min(#a, #b) do
    if string.byte(a, i) ~= string.byte(b, i) then
      return string.byte(a, i) > string.byte(b, i)
    end
  end
  return #a > #b
end

local function is_ended(status)
  return status == 'completed' or status == 'failed' or status == 'cancelled'
end

local function starts(text, prefix)
  return string.sub(text, 1, #prefix) == prefix
end

-- The agenda ---------------------------------------------------------------------------------------------------------

local function queue(lane, priority)
  return P .. 'd:' .. priority .. ':' .. lane
end

local function leased(lane, length)
  return P .. 'l:' .. length .. ':' .. lane
end

local function set_status(flow, old, new, created)
  if old ~= new then
    if old then
      redis.call('ZREM', P .. 's=' .. old, flow)
    end
    redis.call('ZADD', P .. 's=' .. new, created, flow)
  end
end

-- Wake a flow that has got mail on a channel it listens to (C5).
local function wake(flow, count)
  stirred = true
  local row = redis.call('HMGET', P .. 'f:' .. flow, 'token', 'status', 'due', 'lane', 'priority', 'owner')
  if row[1] then
    redis.call('ZADD', P .. 'news:' .. row[6], count, flow)
  elseif row[2] ~= 'blocked' and (not row[3] or tonumber(row[3]) > now) then
    redis.call('HSET', P .. 'f:' .. flow, 'due', now)
    redis.call('ZADD', queue(row[4], row[5]), now, flow)
  end
end

-- Mail ---------------------------------------------------------------------------------------------------------------

local function add_id(flow, id, number)
  local old = redis.call('HGET', P .. 'x:' .. flow, id)
  redis.call('HSET', P .. 'x:' .. flow, id, old and (old .. ',' .. number) or number)
end

local function drop_id(flow, id, number)
  local left = {}
  for each in string.gmatch(redis.call('HGET', P .. 'x:' .. flow, id) or '', '%d+') do
    if tonumber(each) ~= tonumber(number) then
      left[#left + 1] = each
    end
  end
  if #left > 0 then
    redis.call('HSET', P .. 'x:' .. flow, id, table.concat(left, ','))
  else
    redis.call('HDEL', P .. 'x:' .. flow, id)
  end
end

-- The first of the mail on a flow's channels as id, channel, body, id, ...: its own, then what is reserved for it, then
-- the cancels among the rest (C4).
local MAIL = 1000
local function visible(flow)
  local numbers = redis.call('ZRANGE', P .. 'v:' .. flow, 0, MAIL - 1)
  if #numbers == MAIL then
    for _, number in ipairs(redis.call('LRANGE', P .. 'q:' .. pair(flow, 'cancel'), 0, -1)) do
      if redis.call('ZRANK', P .. 'v:' .. flow, number) >= MAIL then
        numbers[#numbers + 1] = number
      end
    end
  end
  local mail = {}
  for i = 1, #numbers do
    local message = cmsgpack.unpack(redis.call('HGET', P .. 'm:' .. flow, numbers[i]))
    mail[#mail + 1] = message[1]
    mail[#mail + 1] = message[2]
    mail[#mail + 1] = message[3]
  end
  return mail
end

-- A message in a flow's own mailbox or reserved for it: {number, id, channel, reserved}. What it hears comes first.
local function find(flow, id)
  local best, best_place
  for number in string.gmatch(redis.call('HGET', P .. 'x:' .. flow, id) or '', '%d+') do
    local place = tonumber(redis.call('ZSCORE', P .. 'v:' .. flow, number) or (2 * RESERVED + tonumber(number)))
    if not best or place < best_place then
      best, best_place = number, place
    end
  end
  if not best then
    return nil
  end
  local message = cmsgpack.unpack(redis.call('HGET', P .. 'm:' .. flow, best))
  return { best, id, message[2], best_place >= RESERVED and best_place < 2 * RESERVED }
end

-- Reserve kept messages of a name for the flows that have listened longest on it (S1).
local function match(channel)
  while redis.call('EXISTS', P .. 'k:' .. channel, P .. 'free:' .. channel) == 2 do
    local number = redis.call('ZPOPMIN', P .. 'k:' .. channel)[1]
    local flow = redis.call('ZPOPMIN', P .. 'free:' .. channel)[1]
    local packed = redis.call('HGET', P .. 'kept', number)
    redis.call('HDEL', P .. 'kept', number)
    redis.call('HSET', P .. 'm:' .. flow, number, packed)
    add_id(flow, cmsgpack.unpack(packed)[1], number)
    redis.call('ZADD', P .. 'v:' .. flow, RESERVED + tonumber(number), number)
    local wait = cmsgpack.unpack(redis.call('HGET', P .. 'w:' .. flow, channel))
    wait[3] = number
    redis.call('HSET', P .. 'w:' .. flow, channel, cmsgpack.pack(wait))
    wake(flow, tick())
  end
end

-- Deliver a message; whether it was taken (S1, R5, R6). `to` is '' for a name alone.
local function send(to, id, channel, body)
  if to == '' then
    if not starts(channel, 'signal:') then
      return 0
    end
    local name = pair(channel, id)
    if redis.call('ZSCORE', P .. 'names', name) then
      return 1
    end
    redis.call('ZADD', P .. 'names', now, name)
    redis.call('SADD', P .. 'alive', name)
    local number = tick()
    redis.call('HSET', P .. 'kept', number, cmsgpack.pack({ id, channel, body }))
    redis.call('ZADD', P .. 'k:' .. channel, number, number)
    match(channel)
    return 1
  end
  if redis.call('SISMEMBER', P .. 's:' .. to, pair(channel, id)) == 1 then
    return 1
  end
  local status = redis.call('HGET', P .. 'f:' .. to, 'status')
  if not status or (is_ended(status) and not starts(channel, 'child:')) then
    return 0
  end
  redis.call('SADD', P .. 's:' .. to, pair(channel, id))
  local number = tick()
  redis.call('HSET', P .. 'm:' .. to, number, cmsgpack.pack({ id, channel, body }))
  add_id(to, id, number)
  redis.call('RPUSH', P .. 'q:' .. pair(to, channel), number)
  if not is_ended(status) and (channel == 'cancel' or redis.call('HEXISTS', P .. 'w:' .. to, channel) == 1) then
    redis.call('ZADD', P .. 'v:' .. to, number, number)
    wake(to, number)
  end
  return 1
end

-- Flows --------------------------------------------------------------------------------------------------------------

-- Why a flow cannot be created: its id is taken by another.
local function conflicts(flow)
  local old = redis.call('HMGET', P .. 'f:' .. flow.id, 'type', 'args', 'parent')
  return old[1] and (old[1] ~= flow.type or old[2] ~= flow.args or (old[3] or '') ~= flow.parent)
end

-- Create a flow that does not conflict; 0 if it was there already (R1). Texts that are absent are ''.
local function create(flow)
  local key = P .. 'f:' .. flow.id
  local old = redis.call('HMGET', key, 'status', 'result')
  if old[1] then
    if flow.parent ~= '' and is_ended(old[1]) then
      send(flow.parent, 'result ' .. flow.id, 'child:' .. flow.id, old[2] or '')
    end
    return 0
  end
  local due = flow.due == '' and now or tonumber(flow.due)
  local status = due > now and 'waiting' or 'pending'
  redis.call('HSET', key, 'type', flow.type, 'lane', flow.lane, 'priority', flow.priority, 'args', flow.args, 'seed',
    flow.seed, 'status', status, 'due', due, 'created', now, 'updated', now, 'length', 0, 'base', 0, 'recoveries', 0,
    'deaths', 0)
  if flow.version ~= '' then
    redis.call('HSET', key, 'version', flow.version)
  end
  if flow.parent ~= '' then
    redis.call('HSET', key, 'parent', flow.parent)
    redis.call('ZADD', P .. 'kids:' .. flow.parent, now, flow.id)
  end
  redis.call('ZADD', P .. 'all', now, flow.id)
  set_status(flow.id, nil, status, now)
  redis.call('SADD', P .. 'p:' .. flow.lane, flow.priority)
  redis.call('ZADD', queue(flow.lane, flow.priority), due, flow.id)
  stirred = true
  return 1
end

-- A new flow from ARGV[at] on.
local FLOW_ARGUMENTS = 9
local function new_flow(at)
  return { id = ARGV[at], type = ARGV[at + 1], version = ARGV[at + 2], lane = ARGV[at + 3], args = ARGV[at + 4],
    seed = ARGV[at + 5], parent = ARGV[at + 6], due = ARGV[at + 7], priority = ARGV[at + 8] }
end

-- Of the channels that a flow listens to, those that readers see: of very many, names before the rest.
local WAITS = 100
local function shown_waits(flow)
  local channels = redis.call('HKEYS', P .. 'w:' .. flow)
  if #channels <= WAITS then
    return channels
  end
  table.sort(channels, function(a, b)
    local a_named, b_named = starts(a, 'signal:'), starts(b, 'signal:')
    if a_named ~= b_named then
      return a_named
    end
    return a < b
  end)
  return { unpack(channels, 1, WAITS) }
end

-- What readers see of a flow: its fields, its waits, its messages put aside; nil if it is not there.
local VIEW = { 'type', 'version', 'lane', 'priority', 'args', 'seed', 'parent', 'status', 'due', 'owner', 'head', 'length',
  'base', 'result', 'note', 'fingerprint', 'created', 'updated', 'started', 'recoveries', 'deaths' }
local function view(flow)
  local fields = redis.call('HMGET', P .. 'f:' .. flow, unpack(VIEW))
  if not fields[1] then
    return nil
  end
  local waits, aside = {}, {}
  for _, channel in ipairs(shown_waits(flow)) do
    local wait = cmsgpack.unpack(redis.call('HGET', P .. 'w:' .. flow, channel))
    waits[#waits + 1] = channel
    waits[#waits + 1] = string.format('%.0f', wait[2])
    waits[#waits + 1] = wait[3] ~= '' and 1 or 0
  end
  for _, number in ipairs(redis.call('ZRANGE', P .. 'a:' .. flow, 0, -1)) do
    for _, part in ipairs(cmsgpack.unpack(redis.call('HGET', P .. 'm:' .. flow, number))) do
      aside[#aside + 1] = part
    end
  end
  return { flow, fields, waits, aside }
end

local function ring()
  if stirred then
    redis.call('PUBLISH', P .. 'bell', '')
  end
end
