-- Ends one session. One whose deadline has passed is written down as ended too: to a caller whose clock is behind, or
-- who was under way, it would still be live.
-- KEYS[1]  the subject's record
-- KEYS[2]  the session's payload
-- ARGV[1]  the session's random
-- ARGV[2]  now, ms
-- ARGV[3]  reason, a number
-- ARGV[4]  operation, 6 bytes
-- ARGV[5]  generation: end it only where the record is behind that one; or empty
-- Returns  {OVER, reason, time, mine}  over, by this operation (mine 1) or before
--          {UNKNOWN}                   no such session, nor a memory of one
--          {DONE}                      it lives on: the record is not behind
--          {DAMAGED}
local key, payload, random = KEYS[1], KEYS[2], ARGV[1]
local now, reason, op, ahead = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])

local raw = redis.call('GET', key)
local at, answer = listed(raw, random, now, op)
if not at then return answer end
if ahead and num(raw, at + 40, 4) >= ahead then return {DONE} end

return over(key, payload, raw, random, reason, now, op)
