-- open: ARGV[2] the schema this Ergon writes, [3] and [4] a store id and hash seed for a new store, or '' to create
-- none, [5] the server's run id. Answers nil if there is no store, else its schema, id, hash seed,
-- what it is an unfinished copy of, and the ids of its keys, each followed by its check.
local key = P .. 'meta'
if redis.call('EXISTS', key) == 0 then
  if ARGV[3] == '' then
    return false
  end
  redis.call('HSET', key, 'schema', ARGV[2], 'store_id', ARGV[3], 'hash_seed', ARGV[4], 'counter', 0, 'run_id', ARGV[5])
end
local answer = redis.call('HMGET', key, 'schema', 'store_id', 'hash_seed', 'copy_of')
for at, part in ipairs(key_checks()) do
  answer[4 + at] = part
end
return answer
