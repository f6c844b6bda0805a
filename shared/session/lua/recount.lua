-- Repairs a partition's counters after a recount, if nothing was counted since
-- they were read.
--
-- KEYS[1]  the partition's counters
-- ARGV[1]  what they were; empty for none
-- ARGV[2]  what they are to be
--
-- Returns  {DONE}     repaired, now or when this was asked before
--          {UNKNOWN}  they have changed since
local counters, was, repaired = KEYS[1], ARGV[1], ARGV[2]

local raw = redis.call('GET', counters) or ''
if raw == repaired then return {DONE} end
if raw ~= was then return {UNKNOWN} end
redis.call('PERSIST', counters) -- needs no memory, so that the next write may; see save
redis.call('SET', counters, repaired)
return {DONE}
