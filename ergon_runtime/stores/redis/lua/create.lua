-- create: ARGV[2..] is the flow. Answers 1, 0 if it was there already, -1 for a conflict.
local flow = new_flow(2)
if conflicts(flow) then
  return -1
end
local created = create(flow)
ring()
return created
