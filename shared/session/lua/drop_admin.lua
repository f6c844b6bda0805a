-- Takes an account off the list of those that have the role admin.
--
-- KEYS[1]  the list
-- ARGV[1]  user id, 16 bytes
-- ARGV[2]  1 if another account must remain on the list
--
-- Returns  {DONE}  it is not on the list
--          {LAST}  no other account is; nothing was changed
local list, user, keep_one = KEYS[1], ARGV[1], ARGV[2] == '1'

local others = redis.call('SCARD', list) - redis.call('SISMEMBER', list, user)
if keep_one and others < 1 then return {LAST} end
redis.call('SREM', list, user)
return {DONE}
