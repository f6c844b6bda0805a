-- Creates a session, within the limit.
-- KEYS[1]  the subject's record
-- KEYS[2]  the session's payload
-- ARGV[1]  now, ms
-- ARGV[2]  operation, 6 bytes
-- ARGV[3]  the entry to list, whole; its operation is ARGV[2]
-- ARGV[4]  the sealed payload
-- ARGV[5]  how long to keep the payload, ms
-- ARGV[6]  random of a session of the same subject to replace, or empty
-- ARGV[7]  limit, at least 1
-- ARGV[8]  'evict' or 'deny'
-- Returns  {DONE, record}     created, or created before by this operation
--          {SPENT}            the login that makes this session was done before
--          {BLOCKED}          the account is blocked
--          {FULL}             at the limit, and the policy is to deny
--          {DAMAGED}          the record is of no known form
local SPENT, BLOCKED, FULL = 3, 4, 5
local LOGGED_OUT, EVICTED = 1, 4
local key, payload = KEYS[1], KEYS[2]
local now, op, entry, sealed, keep = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local carried, limit, policy = ARGV[6], tonumber(ARGV[7]), ARGV[8]
local random = sub(entry, 1, 16)

-- oldest returns the number of the session that was seen longest ago; of equals, the one that logged in first.
local function oldest(list)
  local found, least
  for i, e in ipairs(list) do
    local seen = num(e, 22, 6)
    if not least or seen < least then found, least = i, seen end
  end
  return found
end

local raw = redis.call('GET', key)
if raw and not sound(raw) then return {DAMAGED} end
if not raw then
  raw = char(1, 0) .. bin(now, 6) .. bin(0, 6 + 4 + 6 + 6 + 1) .. char(0, 0, 0)
end
local rec = open(raw)
if byte(raw, 2) % 2 == 1 then return {BLOCKED} end
for _, e in ipairs(rec.live) do
  if sub(e, 1, 16) == random then
    if sub(e, 131, 136) == op then return {DONE, raw} end
    return {SPENT}
  end
end
for _, e in ipairs(rec.ended) do
  if sub(e, 1, 16) == random then return {SPENT} end
end

finish_where(rec, function(e) return due(e, 0, now) end, IDLE_TIMEOUT, now, op)
finish_where(rec, function(e) return sub(e, 1, 16) == carried end, LOGGED_OUT, now, op)
while #rec.live >= limit do
  if policy == 'deny' then return {FULL} end
  finish(rec, oldest(rec.live), EVICTED, now, op)
end

rec.live[#rec.live + 1] = entry
local last = math.max(now, num(rec.head, 8, 6))
rec.head = sub(rec.head, 1, 8) .. bin(last, 6) .. sub(rec.head, 15)
redis.call('SET', payload, sealed, 'PX', keep)
save(key, rec, now)
return {DONE, redis.call('GET', key)}
