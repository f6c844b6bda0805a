-- Deletes one key of a session's state.
-- KEYS[1]  the subject's record
-- KEYS[2]  the session's state
-- KEYS[3]  this operation's answer, see remember
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
local record, state, memory = KEYS[1], KEYS[2], KEYS[3]
local now, op, random, field, want = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local before = known(memory)
if before then return before end
local raw = redis.call('GET', record)
local at, answer = live(raw, random, now, op)
if not at then return answer end

local stored = redis.call('HGET', state, field)
if not stored or past(stored, now) then return {MISSING} end
if not meets(stored, want) then return {PRECONDITION} end

redis.call('HDEL', state, field)
return remember(memory, {DONE})
