-- Stores one key of a session's state, within the quota.
-- KEYS[1]  the subject's record
-- KEYS[2]  the session's state
-- KEYS[3]  this operation's answer, see remember
-- ARGV[1]  now, ms
-- ARGV[2]  operation, 6 bytes
-- ARGV[3]  the session's random
-- ARGV[4]  field, 16 bytes
-- ARGV[5]  the value
-- ARGV[6]  what must hold, see meets
-- ARGV[7]  quota, bytes
-- ARGV[8]  how many keys there may be
-- Returns  {DONE}          stored, or stored before by this operation
--          {PRECONDITION}  the condition does not hold
--          {TOO_LARGE}     the quota or the number of keys does not allow it
--          {UNKNOWN}       no such session
--          {OVER, reason, time, mine}
--          {DAMAGED}
local record, state, memory = KEYS[1], KEYS[2], KEYS[3]
local now, op, random, field, value = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local want, quota, most = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])

local before = known(memory)
if before then return before end
local raw = redis.call('GET', record)
local at, answer = live(raw, random, now, op)
if not at then return answer end

local all = redis.call('HGETALL', state)
local stored, used, count, expired = nil, num(value, 6, 4), 1, {}
for i = 1, #all, 2 do
  local name, held = all[i], all[i + 1]
  if past(held, now) then
    expired[#expired + 1] = name
  elseif name == field then
    stored = held
  else
    used, count = used + num(held, 6, 4), count + 1
  end
end
if not meets(stored, want) then return {PRECONDITION} end
if used > quota or count > most then return {TOO_LARGE} end

if #expired > 0 then redis.call('HDEL', state, unpack(expired)) end
redis.call('HSET', state, field, value)
-- It goes a day after its session.
redis.call('PEXPIRE', state, string.format('%.0f', num(raw, at + 34, 6) - now + DAY))
return remember(memory, {DONE})
