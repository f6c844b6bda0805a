-- Counts a request against rate limits, and does nothing else. A repeat counts
-- once more, which costs the caller one request and changes nothing else.
--
-- KEYS     the rate limits
-- ARGV[1]  now, ms
-- ARGV[2]  sizes of the rate limits, see lib/rate_limit.lua
--
-- Returns  {DONE}         it may pass
--          {LIMITED, ms}  too many; when to retry
local now, rate_limits = tonumber(ARGV[1]), ARGV[2]

local wait = rateLimit(1, rate_limits, now)
if wait then return {LIMITED, wait} end
return {DONE}
