-- Ends one session. One that has passed a deadline is recorded as ended, too:
-- to a caller whose clock is behind, or whose request was under way, it would
-- still be live.
--
-- KEYS[1..5], ARGV[1..6]  see lib/subject.lua
-- KEYS[6]   the session's payload
-- KEYS[7]   its state
-- ARGV[7]   session part of the id, 16 bytes
-- ARGV[8]   reason, a number
-- ARGV[9]   generation: end the session only if the record is behind it; or
--           empty
-- ARGV[10]  idempotency key of the change that claimed the check of the session's
--           proof: end the session only if that claim still holds; or empty
-- ARGV[11]  the roles on which the caller based its decision, see rolesChanged
--
-- Returns  {ENDED, reason, time, mine}  ended, by this change (mine 1) or
--                                       before
--          {UNKNOWN}                    no such session, live or ended
--          {DONE}                       it lives on: the record is not behind, or
--                              the proof was replaced or claimed by another
--          {STALE}                      the account has other roles: read again
--          {DAMAGED}
local payload, state, session = KEYS[6], KEYS[7], ARGV[7]
local reason, generation = tonumber(ARGV[8]), tonumber(ARGV[9])
local claim, expected = ARGV[10], ARGV[11]

local raw = redis.call('GET', change.record)
local at, reply = findListed(raw, session, change.now, change.idem)
if not at then
  emitAgain(change)
  return reply
end
if rolesChanged(storedRoles(raw), expected) then return {STALE} end
if generation and number(raw, at, F.generation) >= generation then return {DONE} end
if claim ~= '' and not isClaimedBy(state, claim) then return {DONE} end

return endAndReply(change, payload, state, raw, session, reason)
