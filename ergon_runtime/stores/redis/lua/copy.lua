-- copy: ARGV[2] the id and address of what the store is to be a copy of, and [3] its hash seed; or '' when the copy is complete. Answers what
-- it was an unfinished copy of, or nil, and whether it was empty; it is only changed if it may be.
local meta = P .. 'meta'
local before = redis.call('HGET', meta, 'copy_of')
local empty = redis.call('EXISTS', P .. 'all', P .. 'names', P .. 'kept') == 0
local same = before and string.match(before, '^%S+') == string.match(ARGV[2], '^%S+')
if ARGV[2] == '' then
  redis.call('HDEL', meta, 'copy_of')
elseif same or (not before and empty) then
  redis.call('HSET', meta, 'copy_of', ARGV[2], 'hash_seed', ARGV[3])
end
return { before, empty and 1 or 0 }
