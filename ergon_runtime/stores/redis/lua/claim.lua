-- claim: ARGV[2] worker, [3] lease, [4] limit, [5] fingerprint or '', [6] alone, [7] operator, [8] how many statuses,
-- then those; how many ids, or -1, then those; likewise the ids it is narrowed to; the lanes; last, as many tokens as the
-- limit says. Answers now, the next due time or nil, whether a suspect is left, and the claims.
local worker, lease, limit, fingerprint = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local alone, operator = ARGV[6] == '1', ARGV[7] == '1'
local at = 8
local function take_list()
  local count, found = tonumber(ARGV[at]), {}
  for i = 1, count do
    found[i] = ARGV[at + i]
  end
  at = at + 1 + math.max(count, 0)
  return count >= 0 and found or nil
end
local statuses, ids, under, lanes, tokens = take_list(), take_list(), take_list(), take_list(), take_list()

local function has(list, value)
  for _, each in ipairs(list) do
    if each == value then
      return true
    end
  end
  return false
end

local function expired(due, length)
  return due <= now or due > now + 2 * length
end

local function within(flow)
  for _, top in ipairs(under or {}) do
    if flow == top or starts(flow, top .. '/') then
      return true
    end
  end
  return under == nil
end

local function fits(flow)
  return within(flow)
    and (fingerprint == '' or redis.call('HGET', P .. 'f:' .. flow, 'fingerprint') ~= fingerprint)
end

local found, seen, next_due = {}, {}, nil
local function candidate(flow, priority, due, recoveries)
  if not seen[flow] then
    seen[flow] = true
    found[#found + 1] = { flow, tonumber(priority), due, tonumber(recoveries) }
  end
end

local function later(due)
  if due > now and (not next_due or due < next_due) then
    next_due = due
  end
end

-- The flows of a sorted set from `low` to `high` that fit the fingerprint, at most `count` of them.
local function fitting(key, low, high, count, use)
  local offset, page = 0, math.max(count, 1)
  while count > 0 do
    local some = redis.call('ZRANGEBYSCORE', key, low, high, 'WITHSCORES', 'LIMIT', offset, page)
    for i = 1, #some, 2 do
      if count > 0 and fits(some[i]) then
        use(some[i], tonumber(some[i + 1]))
        count = count - 1
      end
    end
    if #some < 2 * page then
      return
    end
    offset = offset + page
  end
end

if ids then
  for _, flow in ipairs(ids) do
    local row = redis.call('HMGET', P .. 'f:' .. flow, 'status', 'lane', 'priority', 'due', 'token', 'lease_length', 'recoveries')
    if row[1] then
      local due = row[4] and tonumber(row[4]) or nil
      local ready = due and (row[5] and expired(due, tonumber(row[6])) or not row[5] and due <= now)
      local wanted
      if operator then
        wanted = (ready or not row[5]) and (#statuses == 0 or has(statuses, row[1]))
      else
        wanted = ready and fits(flow) and (#lanes == 0 or has(lanes, row[2]))
      end
      if wanted and within(flow) then
        candidate(flow, row[3], due, row[7])
      end
    end
  end
else
  for _, lane in ipairs(lanes) do
    local priorities = redis.call('SMEMBERS', P .. 'p:' .. lane)
    table.sort(priorities)
    for _, priority in ipairs(priorities) do
      fitting(queue(lane, priority), '-inf', now, limit + 1, function(flow, due)
        candidate(flow, priority, due, 0)
      end)
    end
    for _, length in ipairs(redis.call('SMEMBERS', P .. 'n:' .. lane)) do
      local function lapsed(flow, due)
        local row = redis.call('HMGET', P .. 'f:' .. flow, 'priority', 'recoveries')
        candidate(flow, row[1], due, row[2])
      end
      fitting(leased(lane, length), '-inf', now, 100000, lapsed)
      fitting(leased(lane, length), '(' .. string.format('%.0f', now + 2 * tonumber(length)), '+inf', 100000, lapsed)
    end
  end
end

table.sort(found, function(a, b)
  if a[2] ~= b[2] then
    return a[2] < b[2]
  end
  if (a[3] == nil) ~= (b[3] == nil) then
    return b[3] == nil
  end
  if a[3] ~= b[3] then
    return a[3] < b[3]
  end
  return a[1] < b[1]
end)

local ready, suspects = {}, {}
for _, each in ipairs(found) do
  local part = (not operator and each[4] >= 2) and suspects or ready
  part[#part + 1] = each
end
local from, chosen = ready, {}
if alone and not operator then
  from, limit = suspects, math.min(1, limit)
end
for i = 1, math.min(limit, #from) do
  chosen[i] = from[i]
end
local more = not alone and #ready > #chosen
local left = #suspects - ((alone and not operator) and #chosen or 0)

local claims = {}
for i, each in ipairs(chosen) do
  local flow, token = each[1], tokens[i]
  local key = P .. 'f:' .. flow
  local row = redis.call('HMGET', key, 'status', 'lane', 'priority', 'due', 'token', 'lease_length', 'alone', 'created',
    'type', 'version', 'args', 'seed', 'parent', 'head', 'length', 'base', 'started', 'recoveries', 'deaths', 'note')
  local status, lane = row[1], row[2]
  if row[5] then
    redis.call('ZREM', leased(lane, row[6]), flow)
  elseif row[4] then
    redis.call('ZREM', queue(lane, row[3]), flow)
  end
  local recoveries, deaths = tonumber(row[18]), tonumber(row[19])
  if status == 'running' then
    recoveries = recoveries + 1
    deaths = deaths + (row[7] == '1' and 1 or 0)
  end
  if is_ended(status) then
    redis.call('ZREM', P .. 'ended', flow)
  end
  set_status(flow, status, 'running', row[8])
  redis.call('HSET', key, 'status', 'running', 'token', token, 'owner', worker, 'lease_length', lease, 'due', now + lease,
    'alone', alone and '1' or '0', 'started', row[17] or now, 'recoveries', recoveries, 'deaths', deaths)
  redis.call('HDEL', key, 'fingerprint')
  redis.call('SADD', P .. 'n:' .. lane, lease)
  redis.call('ZADD', leased(lane, lease), now + lease, flow)
  claims[#claims + 1] = { flow, token, row[9], row[10], row[11], row[12], row[13], status, row[14], row[15], row[16],
    row[17] or string.format('%.0f', now), row[4], recoveries, deaths, row[20], visible(flow) }
end

if more then
  next_due = now
elseif ids then
  for _, flow in ipairs(ids) do
    local due = redis.call('HGET', P .. 'f:' .. flow, 'due')
    if due and fits(flow) then
      later(tonumber(due))
    end
  end
else
  for _, lane in ipairs(lanes) do
    local after = '(' .. string.format('%.0f', now)
    local function note(_, due)
      later(due)
    end
    for _, priority in ipairs(redis.call('SMEMBERS', P .. 'p:' .. lane)) do
      fitting(queue(lane, priority), after, '+inf', 1, note)
    end
    for _, length in ipairs(redis.call('SMEMBERS', P .. 'n:' .. lane)) do
      fitting(leased(lane, length), after, '+inf', 1, note)
    end
  end
end
return { now, next_due or false, left > 0 and 1 or 0, claims }
