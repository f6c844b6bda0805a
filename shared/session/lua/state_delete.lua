-- Deletes one key of a session's state.
--
-- KEYS[1]  the subject's record
-- KEYS[2]  the session's state
-- KEYS[3]  the reply cache, see lib/reply_cache.lua
-- ARGV[1]  now, ms
-- ARGV[2]  idempotency key, 6 bytes
-- ARGV[3]  session part of the id, 16 bytes
-- ARGV[4]  field, 16 bytes
-- ARGV[5]  the condition, see meetsCondition
--
-- Returns  {DONE}          deleted, now or when this change ran before
--          {MISSING}       no such key
--          {PRECONDITION}  the condition does not hold
--          {UNKNOWN}       no such session
--          {ENDED, reason, time, mine}
--          {DAMAGED}
local record, state, cache = KEYS[1], KEYS[2], KEYS[3]
local now, idem, session, field, want = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local before = loadReply(cache)
if before then return before end
local raw = redis.call('GET', record)
local at, reply = findLive(raw, session, now, idem)
if not at then return reply end

local stored = redis.call('HGET', state, field)
if not stored or isExpired(stored, now) then return {MISSING} end
if not meetsCondition(stored, want) then return {PRECONDITION} end

redis.call('HDEL', state, field)
return saveReply(cache, {DONE})
