-- Puts right a bucket's counters after a recount, provided that nothing was counted since they were read.
-- KEYS[1]  the bucket's counters
-- ARGV[1]  what they were, whole; empty for none
-- ARGV[2]  what they are to be
-- Returns  {DONE}      they are, now or since this was asked before
--          {UNKNOWN}   they have changed since
local was, now = ARGV[1], ARGV[2]

local raw = redis.call('GET', KEYS[1]) or ''
if raw == now then return {DONE} end
if raw ~= was then return {UNKNOWN} end
redis.call('PERSIST', KEYS[1]) -- a write that needs no memory, so that the next may need some; see save
redis.call('SET', KEYS[1], now)
return {DONE}
