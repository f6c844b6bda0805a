-- Ends one session. One whose deadline has passed is written down as ended too: to a caller whose clock is behind, or
-- who was under way, it would still be live.
-- KEYS[1..5], ARGV[1..6]  see subject
-- KEYS[6]  the session's payload
-- KEYS[7]  its state
-- ARGV[7]  the session's random
-- ARGV[8]  reason, a number
-- ARGV[9]  generation: end it only where the record is behind that one; or empty
-- ARGV[10] the roles by which the caller decided, see other_roles
-- Returns  {OVER, reason, time, mine}  over, by this operation (mine 1) or before
--          {UNKNOWN}                   no such session, nor a memory of one
--          {DONE}                      it lives on: the record is not behind
--          {STALE}                     the account has other roles: look again
--          {DAMAGED}
local k, payload, state, random = subject(), KEYS[6], KEYS[7], ARGV[7]
local reason, ahead, expected = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]

local raw = redis.call('GET', k.record)
local at, answer = listed(raw, random, k.now, k.op)
if not at then return over_again(k, answer) end
if other_roles(sub(raw, HEAD + 1, HEAD + byte(raw, 32)), expected) then return {STALE} end
if ahead and num(raw, at + 40, 4) >= ahead then return {DONE} end

return over(k, payload, state, raw, random, reason)
