-- keys: ARGV[2] the id of a key, [3] its check. Answers the ids of all keys, each followed by its check.
if not redis.call('HGET', P .. 'meta', 'key:' .. ARGV[2]) then
  redis.call('HSET', P .. 'meta', 'key:' .. ARGV[2], ARGV[3])
end
return key_checks()
