-- The last lines of every script, whose body is the function run. They add to
-- its reply the events that it emitted, and the last argument, by which the
-- caller recognises the reply to its own call.
local reply = run()
if not reply.err then
  reply[#reply + 1] = table.concat(emitted)
  reply[#reply + 1] = ARGV[#ARGV]
end
return reply
