-- Takes an account off the list of those that hold the role admin.
-- KEYS[1]  the list
-- ARGV[1]  user id
-- ARGV[2]  1 where somebody else must remain on it
-- Returns  {DONE}             it is not on the list
--          {LAST}             nobody else is; nothing was changed
local LAST = 12
local list, user = KEYS[1], ARGV[1]

local others = redis.call('SCARD', list) - redis.call('SISMEMBER', list, user)
if ARGV[2] == '1' and others < 1 then return {LAST} end
redis.call('SREM', list, user)
return {DONE}
