-- list: ARGV[2] the index, a sorted set by time created, or a plain set; [3] limit, [4] at most so many looked at,
-- [5] and [6] begin before this (created, id) or ''; [7] a part of the id or ''; [8] parent or ''; [9] a channel waited
-- on or ''; [10] how many statuses, those; how many types, those. Answers the (created, id) to go on from or nil, then
-- the flows, newest first.
local index, limit, budget = P .. ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local created, before = ARGV[5], ARGV[6]
local at = 10
local function choice()
  local count, chosen = tonumber(ARGV[at]), {}
  for i = at + 1, at + count do
    chosen[ARGV[i]] = true
  end
  at = at + 1 + count
  return count > 0 and chosen or nil
end
local statuses, types = choice(), choice()

local function matches(flow)
  local row = redis.call('HMGET', P .. 'f:' .. flow, 'status', 'type', 'parent')
  return (not statuses or statuses[row[1]]) and (not types or types[row[2]])
    and (ARGV[7] == '' or string.find(flow, ARGV[7], 1, true))
    and (ARGV[8] == '' or row[3] == ARGV[8])
    and (ARGV[9] == '' or redis.call('HEXISTS', P .. 'w:' .. flow, ARGV[9]) == 1)
end

local rows, last_created, last = {}, nil, nil
local high, offset, page = created == '' and '+inf' or created, 0, 200
while #rows < limit and budget > 0 do
  local some = redis.call('ZREVRANGEBYSCORE', index, high, '-inf', 'WITHSCORES', 'LIMIT', offset, page)
  for i = 1, #some, 2 do
    local passed = created ~= '' and some[i + 1] == created and not behind(before, some[i])
    if not passed and #rows < limit then
      budget = budget - 1
      last_created, last = some[i + 1], some[i]
      if matches(some[i]) then
        rows[#rows + 1] = view(some[i])
      end
    end
  end
  if #some < 2 * page then
    last = nil
    break
  end
  offset = offset + page
end
if #rows >= limit then
  last = nil
end
return { last and { last_created, last } or false, rows }
