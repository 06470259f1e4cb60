-- heard: ARGV[2] worker, [3] since. Answers the store's counter now and the worker's flows that got mail after `since`.
local key = P .. 'news:' .. ARGV[2]
local flows = redis.call('ZRANGEBYSCORE', key, '(' .. ARGV[3], '+inf')
redis.call('ZREMRANGEBYSCORE', key, '-inf', ARGV[3])
return { tonumber(redis.call('HGET', P .. 'meta', 'counter') or 0), flows }
