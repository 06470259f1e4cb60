-- keys: ARGV[2] the id of a key, [3] its check, [4] 1 if the store may have what is not encrypted. Answers the ids of all keys, each followed
-- by its check: none if the store has something, and none of it is encrypted, but may not.
local meta = P .. 'meta'
local empty = redis.call('EXISTS', P .. 'all', P .. 'names', P .. 'kept') == 0
if (empty or ARGV[4] == '1' or #key_checks() > 0) and not redis.call('HGET', meta, 'key:' .. ARGV[2]) then
  redis.call('HSET', meta, 'key:' .. ARGV[2], ARGV[3])
end
return key_checks()
