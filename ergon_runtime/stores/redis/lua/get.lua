-- get: ARGV[2..] are flows. Answers for each that is there its fields, its waits (channel, since, reserved, ...) and its
-- messages put aside (id, channel, body, ...).
local rows = {}
for i = 2, #ARGV do
  rows[#rows + 1] = view(ARGV[i])
end
return rows
