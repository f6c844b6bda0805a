-- Counts a request against rate limits, and does nothing else. A repeat counts once more, which costs the caller
-- a place and changes nothing else.
-- KEYS     the limits
-- ARGV[1]  now, ms
-- ARGV[2]  sizes of the limits, see limited_here
-- Returns  {DONE}             it may pass
--          {LIMITED, ms}      it came too soon; when to come again
local wait = limited_here(1, 2, tonumber(ARGV[1]))
if wait then return {LIMITED, wait} end
return {DONE}
