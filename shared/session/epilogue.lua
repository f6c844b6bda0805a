-- Put behind every script, whose body stands in answer(): the reply carries the last argument back, by which the caller
-- knows it for its own.
local reply = answer()
if not reply.err then reply[#reply + 1] = ARGV[#ARGV] end
return reply
