-- verify: whether the keys of the namespace fit together. It only reads; each call looks at one page of one thing:
--   keys    ARGV[3] a cursor, [4] the pattern of our keys: types, owners, expiry. Answers the next cursor, what is wrong,
--           and the sorted sets to look at next
--   flows   [3] from which place on, [4] to which: flows by time created. Answers how many, and what is wrong
--   index   [3] from which place on, [4] to which, [5] a sorted set. Answers the same
--   kept    [3] after which number, [4] how many. Answers the last number or nil, and what is wrong
local TYPES = { f = 'hash', j = 'list', w = 'hash', m = 'hash', x = 'hash', q = 'list', v = 'zset', a = 'zset', s = 'set',
  d = 'zset', p = 'set', l = 'zset', n = 'set', k = 'zset', free = 'zset', on = 'zset', kids = 'zset', news = 'zset' }
local OWN = { 'f', 'j', 'w', 'm', 'x', 'v', 'a', 's' }
local SINGLE = { all = 'zset', ended = 'zset', names = 'zset', alive = 'set', kept = 'hash', workers = 'hash',
  doing = 'hash', meta = 'hash' }
local INDEX = { d = true, l = true, k = true, free = true, on = true, kids = true }
local STATUSES = { 'pending', 'running', 'waiting', 'blocked', 'completed', 'failed', 'cancelled' }
local found = {}

local function tell(text)
  found[#found + 1] = text
end

local function text(number)
  return string.format('%.0f', number)
end

local function type_of(key)
  return redis.call('TYPE', P .. key)['ok']
end

local function exists(key)
  return redis.call('EXISTS', P .. key) == 1
end

local function unpacked(packed)
  local ok, value = pcall(cmsgpack.unpack, packed or '')
  return ok and type(value) == 'table' and value or nil
end

local function listed(key, member) -- its score in a sorted set, or nil
  local score = redis.call('ZSCORE', P .. key, member)
  return score and tonumber(score) or nil
end

-- Whether a member has this score, or with nil is not there; else it is told.
local function expect(key, member, score, about)
  local there = listed(key, member)
  if there ~= score then
    local is = there and text(there) or 'missing'
    tell(about .. ' in ' .. key .. ' it is ' .. is .. ', and should be ' .. (score and text(score) or 'missing'))
  end
end

local function owned_by_none(key, kind)
  if kind == 'q' then
    local length = tonumber(string.match(key, '^q:(%d+):'))
    local first = length and #tostring(length) + 4
    return not length or not exists('f:' .. string.sub(key, first, first + length - 1))
  end
  local flow = string.sub(key, 3)
  return not exists('f:' .. flow) or not listed('all', flow)
end

local function look_at_key(key, indexes)
  local kind = string.match(key, '^(%l+):') or (starts(key, 's=') and 's=') or key
  local wanted = SINGLE[key] or (kind == 's=' and 'zset') or (kind ~= key and TYPES[kind])
  if not wanted then
    return tell('key ' .. key .. ' is none of a store')
  end
  local is = type_of(key)
  if is == 'none' then
    return
  elseif is ~= wanted then
    return tell('key ' .. key .. ' is a ' .. is .. ', and should be a ' .. wanted)
  end
  if redis.call('PTTL', P .. key) >= 0 then
    tell('key ' .. key .. ' expires')
  end
  for _, own in ipairs(OWN) do
    if kind == own and kind ~= key and owned_by_none(key, kind) then
      tell('key ' .. key .. ' is of a flow that is not there')
    end
  end
  if kind == 'q' and owned_by_none(key, kind) then
    tell('key ' .. key .. ' is of a flow that is not there')
  end
  if INDEX[kind] or kind == 's=' or key == 'all' or key == 'ended' then
    indexes[#indexes + 1] = key
  end
end

-- A flow: its places in the agenda and the lists, then its waits, then its mail.
local function look_at_places(flow, row, about)
  local status, lane, priority, due, token, length = row[1], row[2], row[3], tonumber(row[4] or ''), row[5], row[6] or '0'
  local known = false
  for _, each in ipairs(STATUSES) do
    known = known or each == status
    expect('s=' .. each, flow, each == status and tonumber(row[7]) or nil, about)
  end
  if not known then
    tell(about .. ' its status is ' .. status)
  end
  expect('all', flow, tonumber(row[7]), about)
  if (listed('ended', flow) ~= nil) ~= is_ended(status) then
    tell(about .. ' it is ' .. status .. ', and its place in ended does not fit')
  end
  if (token and true or false) ~= (status == 'running') then
    tell(about .. ' it is ' .. status .. (token and ', and has a token' or ', and has no token'))
  end
  expect('d:' .. priority .. ':' .. lane, flow, not token and due or nil, about)
  expect('l:' .. length .. ':' .. lane, flow, token and due or nil, about)
  if due and not token and redis.call('SISMEMBER', P .. 'p:' .. lane, priority) == 0 then
    tell(about .. ' priority ' .. priority .. ' is not known in lane ' .. lane)
  end
  if due and token and redis.call('SISMEMBER', P .. 'n:' .. lane, length) == 0 then
    tell(about .. ' leases of ' .. length .. ' ms are not known in lane ' .. lane)
  end
  if row[8] then
    expect('kids:' .. row[8], flow, tonumber(row[7]), about)
  end
end

local function look_at_waits(flow, created, about)
  local waits, reserved, list = {}, {}, redis.call('HGETALL', P .. 'w:' .. flow)
  for i = 1, #list, 2 do
    local channel, wait = list[i], unpacked(list[i + 1])
    waits[channel] = true
    if not wait or not tonumber(wait[1]) then
      tell(about .. ' its wait on ' .. channel .. ' cannot be read')
    else
      if wait[3] ~= '' then
        reserved[text(tonumber(wait[3]))] = channel
      end
      expect('on:' .. channel, flow, tonumber(created), about)
      local free = wait[3] == '' and starts(channel, 'signal:')
      expect('free:' .. channel, flow, free and tonumber(wait[1]) or nil, about)
    end
  end
  return waits, reserved
end

local function has_number(flow, id, number)
  for each in string.gmatch(redis.call('HGET', P .. 'x:' .. flow, id) or '', '%d+') do
    if tonumber(each) == tonumber(number) then
      return true
    end
  end
  return false
end

local function look_at_mail(flow, ended, about, waits, reserved)
  local boxes, heard, list = {}, 0, redis.call('HGETALL', P .. 'm:' .. flow)
  for i = 1, #list, 2 do
    local number, message = list[i], unpacked(list[i + 1])
    local what = about .. ' message ' .. number
    if not message or not message[2] then
      tell(what .. ' cannot be read')
    else
      local id, channel, hears = message[1], message[2], nil
      if listed('a:' .. flow, number) then
        hears = nil
      elseif reserved[number] then
        hears = RESERVED + tonumber(number)
        if reserved[number] ~= channel then
          tell(what .. ' is on ' .. channel .. ', and reserved on ' .. reserved[number])
        end
        reserved[number] = nil
      else
        boxes[channel] = boxes[channel] or {}
        table.insert(boxes[channel], tonumber(number))
        hears = not ended and (channel == 'cancel' or waits[channel]) and tonumber(number) or nil
      end
      heard = heard + (hears and 1 or 0)
      expect('v:' .. flow, number, hears, what)
      if has_number(flow, id, number) == (listed('a:' .. flow, number) ~= nil) then
        tell(what .. ' is not found by its id ' .. id .. ', or is and should not')
      end
    end
  end
  for number, channel in pairs(reserved) do
    tell(about .. ' message ' .. number .. ', reserved on ' .. channel .. ', is not there')
  end
  if redis.call('ZCARD', P .. 'v:' .. flow) ~= heard then
    tell(about .. ' it hears messages that are not there')
  end
  for channel, numbers in pairs(boxes) do
    table.sort(numbers)
    local there = redis.call('LRANGE', P .. 'q:' .. pair(flow, channel), 0, -1)
    local same = #there == #numbers
    for i = 1, #numbers do
      same = same and tonumber(there[i]) == numbers[i]
    end
    if not same then
      tell(about .. ' its mail on ' .. channel .. ' is not in the order in which it came')
    end
  end
end

local function look_at_flow(flow)
  local about = 'flow ' .. flow .. ':'
  for _, own in ipairs(OWN) do
    local is = type_of(own .. ':' .. flow)
    if is ~= 'none' and is ~= TYPES[own] then
      return -- told with its key
    end
  end
  local row = redis.call('HMGET', P .. 'f:' .. flow, 'status', 'lane', 'priority', 'due', 'token', 'lease_length', 'created',
    'parent')
  if not row[1] or not row[2] or not row[3] or not tonumber(row[7] or '') then
    return tell(about .. ' it is listed, and there is no such flow, or half of one')
  end
  look_at_places(flow, row, about)
  local waits, reserved = look_at_waits(flow, row[7], about)
  look_at_mail(flow, is_ended(row[1]), about, waits, reserved)
end

-- A member of a sorted set: whether a flow, or a kept message, says the same.
local function belongs(key, member, score)
  local kind = string.match(key, '^(%l+):')
  local rest = kind and string.sub(key, #kind + 2)
  if kind == 'k' then
    local message = unpacked(redis.call('HGET', P .. 'kept', member))
    return message and message[2] == rest and tonumber(member) == score
  end
  local row = redis.call('HMGET', P .. 'f:' .. member, 'status', 'lane', 'priority', 'due', 'token', 'lease_length', 'parent')
  if not row[1] then
    return false
  elseif kind == 'd' then
    return rest == (row[3] or '') .. ':' .. (row[2] or '') and not row[5] and tonumber(row[4] or '') == score
  elseif kind == 'l' then
    return rest == (row[6] or '') .. ':' .. (row[2] or '') and row[5] and tonumber(row[4] or '') == score
  elseif kind == 'kids' then
    return row[7] == rest
  elseif kind == 'on' then
    return redis.call('HEXISTS', P .. 'w:' .. member, rest) == 1
  elseif kind == 'free' then
    local wait = unpacked(redis.call('HGET', P .. 'w:' .. member, rest))
    return wait and wait[3] == '' and tonumber(wait[1]) == score
  elseif key == 'ended' then
    return is_ended(row[1])
  end
  return key == 'all' or key == 's=' .. row[1]
end

if ARGV[2] == 'keys' then
  local indexes = {}
  local page = redis.call('SCAN', ARGV[3], 'MATCH', ARGV[4], 'COUNT', 500)
  for _, key in ipairs(page[2]) do
    look_at_key(string.sub(key, #P + 1), indexes)
  end
  return { page[1], found, indexes }
elseif ARGV[2] == 'flows' then
  local page = redis.call('ZRANGE', P .. 'all', ARGV[3], ARGV[4])
  for _, flow in ipairs(page) do
    look_at_flow(flow)
  end
  return { #page, found }
elseif ARGV[2] == 'index' then
  local page = type_of(ARGV[5]) == 'zset' and redis.call('ZRANGE', P .. ARGV[5], ARGV[3], ARGV[4], 'WITHSCORES') or {}
  for i = 1, #page, 2 do
    if not belongs(ARGV[5], page[i], tonumber(page[i + 1])) then
      tell(page[i] .. ' is in ' .. ARGV[5] .. ', where it does not belong')
    end
  end
  return { #page / 2, found }
end
local from, numbers = tonumber(ARGV[3]), {}
for _, number in ipairs(redis.call('HKEYS', P .. 'kept')) do
  if tonumber(number) > from then
    numbers[#numbers + 1] = tonumber(number)
  end
end
table.sort(numbers)
local last = false
for i = 1, math.min(tonumber(ARGV[4]), #numbers) do
  last = text(numbers[i])
  local message = unpacked(redis.call('HGET', P .. 'kept', last))
  if not message or not message[2] then
    tell('kept message ' .. last .. ' cannot be read')
  else
    expect('k:' .. message[2], last, numbers[i], 'kept message ' .. last .. ':')
    if redis.call('SISMEMBER', P .. 'alive', pair(message[2], message[1])) == 0 then
      tell('kept message ' .. last .. ' may be sent again after a prune')
    end
  end
end
return { last, found }
