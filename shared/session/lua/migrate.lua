-- Gives an account what version 0.1.0 stored without a TTL the TTL that it has
-- today: its preferences, and its record unless that has roles or a block. What
-- has a TTL keeps it, so a login at the same moment is not undone. The time
-- that preferences are kept counts from now, whenever the last login was. An
-- erased account with roles or a block is listed, so that the sweeper forgets
-- its ended sessions. An account with roles or a block is added to the
-- registry.
--
-- KEYS[1]  the record
-- KEYS[2]  the preferences
-- KEYS[3]  the partition's erased accounts, see lib/account.lua
-- KEYS[4]  the partition's registry, see lib/registry.lua
-- ARGV[1]  now, ms
-- ARGV[2]  how long preferences are kept after a login, ms
-- ARGV[3]  the user id
--
-- Returns  {DONE, preferences, record, damaged, registered}
--            preferences, record  1 if it got a TTL, else 0
--            damaged              1 if the record has no known layout, and was
--                                 left alone; else 0
--            registered           1 if it was added to the registry, else 0
local record, preferences, registry = KEYS[1], KEYS[2], KEYS[4]
local change = {
  now = tonumber(ARGV[1]), preferences_keep = tonumber(ARGV[2]), user = ARGV[3], erased = KEYS[3],
}

-- expire sets a TTL if there is none, and returns 1 if it did.
local function expire(key, last) return redis.call('PEXPIRE', key, ttl(change, last), 'NX') end

local raw = redis.pcall('GET', record) or BLANK_RECORD
local other_type = type(raw) ~= 'string'
if other_type and not string.find(raw.err, 'WRONGTYPE', 1, true) then return raw end
if other_type or not wellFormed(raw) then
  return {DONE, expire(preferences, change.now + change.preferences_keep), 0, 1, 0}
end
local rec = open(raw)
rec.head = with(rec.head, F.head.last_login, change.now) -- is not written
local kept = expire(preferences, preferencesEnd(change, rec))
local last = recordEnd(change, rec)
if last then return {DONE, kept, expire(record, last), 0, 0} end
forgetLater(change, rec)
return {DONE, kept, 0, 0, redis.call('ZADD', registry, 0, change.user)}
