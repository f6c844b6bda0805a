-- Put behind every script, whose body stands in answer(). To its reply are added the events that it wrote, and the last
-- argument, by which the caller knows the reply for its own.
local reply = answer()
if not reply.err then
  reply[#reply + 1] = table.concat(told)
  reply[#reply + 1] = ARGV[#ARGV]
end
return reply
