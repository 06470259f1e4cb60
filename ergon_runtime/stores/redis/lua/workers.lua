-- workers: name and sign of life of each that is live, with what it told at that time of what it does.
local live = {}
local all = redis.call('HGETALL', P .. 'workers')
for i = 1, #all, 2 do
  local sign = cmsgpack.unpack(all[i + 1])
  if tonumber(sign[6]) > now then
    local told = redis.call('HGET', P .. 'doing', all[i])
    told = told and cmsgpack.unpack(told)
    if not (told and told[1] == sign[5]) then
      told = { '', '0', '' } -- an older Ergon's sign of life
    end
    live[#live + 1] = { all[i], sign[1], sign[2], sign[3], sign[4], sign[5], sign[6], told[2], told[3] }
  end
end
return live
