-- commit: ARGV[2] flow, [3] token, [4] id, [5] predecessor or '', [6] start, [7] lease length, [8] status, [9] due or '',
-- [10] base or '', [11] 1 and [12] result, or 0, [13] 1 and [14] note, or 0, [15] fingerprint or ''; then lists, each
-- after its length: entries, messages consumed, messages put aside, creates (9 values each), sends (4 each), waits to
-- begin, waits to end; last, 1 if the waits to begin are all that is left.
-- Answers 'lost', 'conflict' and the flow, or 'ok', held, now, mail (C1).
local flow, token, id, status = ARGV[2], ARGV[3], ARGV[4], ARGV[8]
local key = P .. 'f:' .. flow
local row = redis.call('HMGET', key, 'token', 'head', 'length', 'status', 'lane', 'priority', 'due', 'lease_length',
  'parent', 'created', 'owner')
if not row[4] then
  return { 'lost' }
end
if row[2] == id then
  return { 'ok', row[1] == token and 1 or 0, now, visible(flow) }
end
if row[1] ~= token or (row[2] or '') ~= ARGV[5] or tonumber(row[3]) ~= tonumber(ARGV[6]) then
  return { 'lost' }
end

local at = 16
local function span(width)
  local first, count = at + 1, tonumber(ARGV[at])
  at = first + count * width
  return first, count
end
local entries, entry_count = span(1)
local consumed_at, consumed_count = span(1)
local aside_at, aside_count = span(1)
local creates, create_count = span(9)
local sends, send_count = span(4)
local begun, begun_count = span(1)
local dropped, dropped_count = span(1)
local all_waits = ARGV[at] == '1'

-- Read and check.
local function found(first, count)
  local taken = {}
  for i = first, first + count - 1 do
    local message = find(flow, ARGV[i])
    if not message then -- it is another flow's by now: the caller's view is stale
      return nil
    end
    taken[#taken + 1] = message
  end
  return taken
end
local consumed, aside = found(consumed_at, consumed_count), found(aside_at, aside_count)
if not consumed or not aside then
  return { 'lost' }
end
local new, by_id = {}, {}
for i = 0, create_count - 1 do
  local child = new_flow(creates + FLOW_ARGUMENTS * i)
  local other = by_id[child.id]
  if conflicts(child)
    or (other and (other.type ~= child.type or other.args ~= child.args or other.parent ~= child.parent)) then
    return { 'conflict', child.id }
  end
  by_id[child.id] = other or child
  new[#new + 1] = child
end

-- Record.
local running, ended = status == 'running', is_ended(status)
local same_lease = running and row[8] == ARGV[7]
local set = { 'head', id, 'status', status, 'updated', now, 'lease_length', ARGV[7] }
local unset = {}
local function put(field, value)
  set[#set + 1] = field
  set[#set + 1] = value
end
local function keep(field, value, given)
  if given then
    put(field, value)
  else
    unset[#unset + 1] = field
  end
end
if entry_count > 0 then
  for i = entries, entries + entry_count - 1, 1000 do
    redis.call('RPUSH', P .. 'j:' .. flow, unpack(ARGV, i, math.min(i + 999, entries + entry_count - 1)))
  end
  put('length', tonumber(row[3]) + entry_count)
end
keep('result', ARGV[12], ARGV[11] == '1')
keep('fingerprint', ARGV[15], ARGV[15] ~= '')
keep('due', now + tonumber(ARGV[7]), running) -- of others it is placed below: until then nothing wakes them twice
if ARGV[13] == '1' then
  put('note', ARGV[14])
end
if ARGV[10] ~= '' then
  put('base', ARGV[10])
end
if entry_count > 0 or not running then
  put('recoveries', 0)
  put('deaths', 0)
end
if not running then
  put('alone', '0')
  unset[#unset + 1] = 'token'
  unset[#unset + 1] = 'owner'
end
redis.call('HSET', key, unpack(set))
redis.call('HDEL', key, unpack(unset))
set_status(flow, 'running', status, row[10])
if not same_lease then
  redis.call('ZREM', leased(row[5], row[8]), flow)
end
if not running then
  redis.call('ZREM', P .. 'news:' .. row[11], flow)
  stirred = true
end
if ended then
  redis.call('ZADD', P .. 'ended', now, flow)
end

-- Mail.
local touched = {}
local function take(message, keep_aside)
  local number, channel, reserved = message[1], message[3], message[4]
  redis.call('ZREM', P .. 'v:' .. flow, number)
  drop_id(flow, message[2], number)
  if reserved then
    redis.call('SREM', P .. 'alive', pair(channel, message[2]))
    local wait = cmsgpack.unpack(redis.call('HGET', P .. 'w:' .. flow, channel))
    wait[3] = ''
    redis.call('HSET', P .. 'w:' .. flow, channel, cmsgpack.pack(wait))
    if keep_aside then
      redis.call('ZADD', P .. 'free:' .. channel, wait[1], flow)
      touched[channel] = true
    end
  else
    redis.call('LREM', P .. 'q:' .. pair(flow, channel), 1, number)
  end
  if keep_aside then
    redis.call('ZADD', P .. 'a:' .. flow, number, number)
  else
    redis.call('HDEL', P .. 'm:' .. flow, number)
  end
end
-- End a wait. A message that was reserved for it goes back to its old place (S2).
local function drop(channel)
  local packed = redis.call('HGET', P .. 'w:' .. flow, channel)
  if not packed then
    return
  end
  local number = cmsgpack.unpack(packed)[3]
  redis.call('HDEL', P .. 'w:' .. flow, channel)
  redis.call('ZREM', P .. 'on:' .. channel, flow)
  redis.call('ZREM', P .. 'free:' .. channel, flow)
  for _, heard in ipairs(redis.call('LRANGE', P .. 'q:' .. pair(flow, channel), 0, -1)) do
    redis.call('ZREM', P .. 'v:' .. flow, heard)
  end
  if number ~= '' then
    local message = redis.call('HGET', P .. 'm:' .. flow, number)
    redis.call('HDEL', P .. 'm:' .. flow, number)
    redis.call('ZREM', P .. 'v:' .. flow, number)
    drop_id(flow, cmsgpack.unpack(message)[1], number)
    redis.call('HSET', P .. 'kept', number, message)
    redis.call('ZADD', P .. 'k:' .. channel, number, number)
    touched[channel] = true
  end
end
for _, message in ipairs(aside) do
  take(message, true)
end
local served = {}
for _, message in ipairs(consumed) do
  take(message, false)
  served[message[3]] = true
end
for channel in pairs(served) do
  drop(channel)
end
local wanted, fresh = {}, {}
for i = begun, begun + begun_count - 1 do
  wanted[ARGV[i]] = true
end
for i = dropped, dropped + dropped_count - 1 do
  drop(ARGV[i])
end
if all_waits then
  for _, channel in ipairs(redis.call('HKEYS', P .. 'w:' .. flow)) do
    if not wanted[channel] then
      drop(channel)
    end
  end
end
for channel in pairs(wanted) do
  if redis.call('HEXISTS', P .. 'w:' .. flow, channel) == 0 then
    fresh[#fresh + 1] = channel
  end
end
table.sort(fresh)
for _, channel in ipairs(fresh) do
  local place = tick()
  redis.call('HSET', P .. 'w:' .. flow, channel, cmsgpack.pack({ place, now, '' }))
  redis.call('ZADD', P .. 'on:' .. channel, row[10], flow)
  for _, number in ipairs(redis.call('LRANGE', P .. 'q:' .. pair(flow, channel), 0, -1)) do
    redis.call('ZADD', P .. 'v:' .. flow, number, number)
  end
  if starts(channel, 'signal:') then
    redis.call('ZADD', P .. 'free:' .. channel, place, flow)
    touched[channel] = true
  end
end
local names = {}
for channel in pairs(touched) do
  names[#names + 1] = channel
end
table.sort(names)
for _, channel in ipairs(names) do
  match(channel)
end

-- Other flows.
for _, child in ipairs(new) do
  create(child)
end
for i = 0, send_count - 1 do
  send(ARGV[sends + 4 * i], ARGV[sends + 4 * i + 1], ARGV[sends + 4 * i + 2], ARGV[sends + 4 * i + 3])
end
if ended then
  for _, number in ipairs(redis.call('LRANGE', P .. 'q:' .. pair(flow, 'cancel'), 0, -1)) do
    drop_id(flow, cmsgpack.unpack(redis.call('HGET', P .. 'm:' .. flow, number))[1], number)
    redis.call('HDEL', P .. 'm:' .. flow, number)
    redis.call('ZREM', P .. 'v:' .. flow, number)
  end
  redis.call('DEL', P .. 'q:' .. pair(flow, 'cancel'))
  if row[9] then
    send(row[9], 'result ' .. flow, 'child:' .. flow, ARGV[11] == '1' and ARGV[12] or '')
  end
end

-- Its place in the agenda (R7).
redis.call('ZREM', queue(row[5], row[6]), flow)
if running then
  if not same_lease then
    redis.call('SADD', P .. 'n:' .. row[5], ARGV[7])
  end
  redis.call('ZADD', leased(row[5], ARGV[7]), now + tonumber(ARGV[7]), flow)
elseif not ended then
  local due = ARGV[9] ~= '' and tonumber(ARGV[9]) or (status == 'pending' and now or nil)
  if redis.call('EXISTS', P .. 'v:' .. flow) == 1 and status ~= 'blocked' and (not due or due > now) then
    due = now
  end
  if due then
    redis.call('HSET', key, 'due', due)
    redis.call('ZADD', queue(row[5], row[6]), due, flow)
  end
end
ring()
return { 'ok', running and 1 or 0, now, visible(flow) }
