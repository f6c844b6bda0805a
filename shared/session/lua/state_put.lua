-- Stores one key of a session's state, within the quota.
--
-- KEYS[1]  the subject's record
-- KEYS[2]  the session's state
-- KEYS[3]  the reply cache, see lib/reply_cache.lua
-- ARGV[1]  now, ms
-- ARGV[2]  idempotency key, 6 bytes
-- ARGV[3]  session part of the id, 16 bytes
-- ARGV[4]  field, 16 bytes
-- ARGV[5]  the value, see lib/state.lua
-- ARGV[6]  the condition, see meetsCondition
-- ARGV[7]  quota, bytes
-- ARGV[8]  how many keys there may be
--
-- Returns  {DONE}          stored, now or when this change ran before
--          {PRECONDITION}  the condition does not hold
--          {TOO_LARGE}     the quota or the number of keys does not allow it
--          {UNKNOWN}       no such session
--          {ENDED, reason, time, mine}
--          {DAMAGED}
local record, state, cache = KEYS[1], KEYS[2], KEYS[3]
local now, idem, session, field = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local value, want, quota, most = ARGV[5], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])

local before = loadReply(cache)
if before then return before end
local raw = redis.call('GET', record)
local at, reply = findLive(raw, session, now, idem)
if not at then return reply end

local all = redis.call('HGETALL', state)
local stored, used, count, expired = nil, number(value, F.item.size), 1, {}
for i = 1, #all, 2 do
  local name, item = all[i], all[i + 1]
  if #name ~= STATE_FIELD_SIZE then -- the proof, see lib/proof.lua
  elseif isExpired(item, now) then
    expired[#expired + 1] = name
  elseif name == field then
    stored = item
  else
    used, count = used + number(item, F.item.size), count + 1
  end
end
if not meetsCondition(stored, want) then return {PRECONDITION} end
if used > quota or count > most then return {TOO_LARGE} end

if #expired > 0 then redis.call('HDEL', state, unpack(expired)) end
redis.call('HSET', state, field, value)
-- The state expires a minute after its session. Whatever ends the session
-- earlier unlinks it, unless a reply is lost.
local keep = number(raw, at, F.absolute) - now + MINUTE
redis.call('PEXPIRE', state, string.format('%.0f', keep))
return saveReply(cache, {DONE})
