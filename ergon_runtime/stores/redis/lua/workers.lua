-- workers: name and sign of life of each that is live.
local live = {}
local all = redis.call('HGETALL', P .. 'workers')
for i = 1, #all, 2 do
  local sign = cmsgpack.unpack(all[i + 1])
  if tonumber(sign[6]) > now then
    live[#live + 1] = { all[i], unpack(sign) }
  end
end
return live
