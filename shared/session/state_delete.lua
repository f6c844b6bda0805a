-- Deletes one key of a session's state.
-- KEYS[1]  the subject's record
-- KEYS[2]  the session's state
-- ARGV[1]  now, ms
-- ARGV[2]  operation, 6 bytes
-- ARGV[3]  the session's random
-- ARGV[4]  field, 16 bytes
-- ARGV[5]  what must hold, see meets
-- Returns  {DONE}          deleted, or deleted before by this operation
--          {MISSING}       no such key
--          {PRECONDITION}  the condition does not hold
--          {UNKNOWN}       no such session
--          {OVER, reason, time, mine}
--          {DAMAGED}
local record, state = KEYS[1], KEYS[2]
local now, op, random, field, want = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local raw = redis.call('GET', record)
local at, answer = live(raw, random, now, op)
if not at then return answer end

local stored = redis.call('HGET', state, field)
if not stored or past(stored, now) then
  if redis.call('HGET', state, DELETION) == op then return {DONE} end
  return {MISSING}
end
if not meets(stored, want) then return {PRECONDITION} end

redis.call('HDEL', state, field)
redis.call('HSET', state, DELETION, op)
outlast(state, raw, at, now)
return {DONE}
