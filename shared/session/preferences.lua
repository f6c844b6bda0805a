-- Replaces an account's preferences, where they are still what the change was made for and its session still lives: so
-- nothing that was under way brings them back after a logout or an erasure.
-- KEYS[1..5], ARGV[1..6]  see subject
-- KEYS[6]  the preferences
-- KEYS[7]  the session's payload
-- KEYS[8]  this operation's answer, see remember
-- ARGV[7]  the session's random
-- ARGV[8]  what the stored value must begin with: its first 17 bytes, which no two values share; empty for none stored
-- ARGV[9]  the new value, sealed; empty to delete
-- Returns  {DONE}                  stored, or stored before by this operation
--          {PRECONDITION, stored}  something else is stored, or '' for nothing
--          {UNKNOWN}               no such session
--          {OVER, reason, time, mine}
--          {DAMAGED}
local PRECONDITION = 6
local EVENT_PREFERENCES = 11
local PREFERENCES = 2 -- flag of the record
local preferences, payload, memory = KEYS[6], KEYS[7], KEYS[8]
local random, expected, value = ARGV[7], ARGV[8], ARGV[9]
local k = subject()

local before = known(memory)
if before then return before end
local raw = redis.call('GET', k.record)
local at, answer = live(raw, random, k.now, k.op)
if not at then return answer end
if redis.call('EXISTS', payload) == 0 then return {UNKNOWN} end

local stored = redis.call('GET', preferences) or ''
if sub(stored, 1, 17) ~= expected then return {PRECONDITION, stored} end

local rec, flags = open(raw), byte(raw, 2)
if flags % (2 * PREFERENCES) >= PREFERENCES then flags = flags - PREFERENCES end
if value == '' then
  redis.call('UNLINK', preferences) -- first, since it needs no memory; see save
else
  flags = flags + PREFERENCES
end
rec.head = sub(rec.head, 1, 1) .. char(flags) .. sub(rec.head, 3)
note(k, EVENT_PREFERENCES, random, 0)
save(k, rec)
if value ~= '' then redis.call('SET', preferences, value) end
return remember(memory, {DONE})
