-- pieces: what the store holds, for copies. ARGV[2] the kind; [3] a score and [4] a member: the place after which to
-- begin, [5] how many at most.
local from, member, limit = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])

local function text(number)
  return string.format('%.0f', number)
end

local function page(index, use)
  local found, offset, size = {}, 0, limit + 1
  while #found < limit do
    local some = redis.call('ZRANGEBYSCORE', P .. index, from, '+inf', 'WITHSCORES', 'LIMIT', offset, size)
    for i = 1, #some, 2 do
      if #found < limit and (tonumber(some[i + 1]) > from or behind(some[i], member)) then
        found[#found + 1] = use(some[i], some[i + 1])
      end
    end
    if #some < 2 * size then
      break
    end
    offset = offset + size
  end
  return found
end

local function flow(id)
  local key = P .. 'f:' .. id
  local own = redis.call('HMGET', key, 'lease_length', 'alone')
  local waits, messages = {}, {}
  local listens = redis.call('HGETALL', P .. 'w:' .. id)
  for i = 1, #listens, 2 do
    local wait = cmsgpack.unpack(listens[i + 1])
    waits[#waits + 1] = { listens[i], text(wait[1]), text(wait[2]), wait[3] ~= '' and text(wait[3]) or '' }
  end
  local held = redis.call('HGETALL', P .. 'm:' .. id)
  for i = 1, #held, 2 do
    messages[#messages + 1] = { held[i], unpack(cmsgpack.unpack(held[i + 1])) }
  end
  return { id, redis.call('HMGET', key, unpack(VIEW)), own[1] or '0', own[2] == '1' and 1 or 0,
    redis.call('ZSCORE', P .. 'ended', id), waits, messages, redis.call('ZRANGE', P .. 'a:' .. id, 0, -1),
    redis.call('SMEMBERS', P .. 's:' .. id) }
end

if ARGV[2] == 'flows' then
  return page('all', flow)
elseif ARGV[2] == 'names' then
  return page('names', function(name, at)
    return { name, at }
  end)
end
local numbers, kept = {}, {}
for _, number in ipairs(redis.call('HKEYS', P .. 'kept')) do
  if tonumber(number) > from then
    numbers[#numbers + 1] = tonumber(number)
  end
end
table.sort(numbers)
for i = 1, math.min(limit, #numbers) do
  local number = text(numbers[i])
  kept[i] = { number, unpack(cmsgpack.unpack(redis.call('HGET', P .. 'kept', number))) }
end
return kept
