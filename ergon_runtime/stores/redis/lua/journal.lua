-- journal: ARGV[2] flow, [3] first, [4] last.
return redis.call('LRANGE', P .. 'j:' .. ARGV[2], ARGV[3], ARGV[4])
