-- Stores a nonce, within the rate limits of the network that asks. What is refused stores nothing.
-- KEYS[1]  the nonce
-- KEYS[2..] the limits
-- ARGV[1]  now, ms
-- ARGV[2]  what it is issued for
-- ARGV[3]  how long to keep it, ms
-- ARGV[4]  sizes of the limits, see limited_here
-- Returns  {DONE}             stored, now or before by this operation
--          {LIMITED, ms}      it came too soon; when to come again
--          {DAMAGED}          something else has its name
local key, value = KEYS[1], ARGV[2]

local raw = redis.call('GET', key)
if raw == value then return {DONE} end
if raw then return {DAMAGED} end
local wait = limited_here(2, 4, tonumber(ARGV[1]))
if wait then return {LIMITED, wait} end
redis.call('SET', key, value, 'PX', ARGV[3])
return {DONE}
