-- keys: ARGV[2] the id of a key, [3] its check. Answers the ids of all keys, each followed by its check.
redis.call('HSETNX', P .. 'meta', 'key:' .. ARGV[2], ARGV[3])
return key_checks()
