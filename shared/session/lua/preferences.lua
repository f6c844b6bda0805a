-- Replaces an account's preferences, if they are still what the change was made
-- for and its session is still live: so no request that was under way brings
-- them back after a logout or an erasure.
--
-- KEYS[1..5], ARGV[1..6]  see lib/subject.lua
-- KEYS[6]   the preferences
-- KEYS[7]   the session's payload
-- KEYS[8]   the reply cache, see lib/reply_cache.lua
-- ARGV[7]   session part of the id, 16 bytes
-- ARGV[8]   the first 17 bytes of the stored value, which no two values share;
--           empty if none must be stored
-- ARGV[9]   the new value, sealed; empty to delete
--
-- Returns  {DONE}                  stored, now or when this change ran before
--          {PRECONDITION, stored}  something else is stored, or '' for nothing
--          {UNKNOWN}               no such session
--          {ENDED, reason, time, mine}
--          {DAMAGED}
local preferences, payload, cache = KEYS[6], KEYS[7], KEYS[8]
local session, expected, value = ARGV[7], ARGV[8], ARGV[9]

local before = loadReply(cache)
if before then return before end
local raw = redis.call('GET', change.record)
local at, reply = findLive(raw, session, change.now, change.idem)
if not at then return reply end
if redis.call('EXISTS', payload) == 0 then return {UNKNOWN} end

local stored = redis.call('GET', preferences) or ''
if get(stored, F.sealed.head) ~= expected then return {PRECONDITION, stored} end

local rec = open(raw)
if value == '' then
  redis.call('UNLINK', preferences) -- first, since it needs no memory; see save
end
setPreferencesFlag(rec, value ~= '')
emit(change, EVENT_PREFERENCES, session, 0)
save(change, rec)
if value ~= '' then
  redis.call('SET', preferences, value, 'PX', ttl(change, preferencesEnd(change, rec)))
end
return saveReply(cache, {DONE})
