-- Creates a session, within the limits.
-- KEYS[1..5], ARGV[1..6]  see subject
-- KEYS[6]  the session's payload
-- KEYS[7..] the rate limits of the account's logins
-- ARGV[7]  the entry to list, whole; its operation is ARGV[2]
-- ARGV[8]  the sealed payload
-- ARGV[9]  how long to keep the payload, ms
-- ARGV[10] random of a session of the same subject to replace, or empty
-- ARGV[11] limit, at least 1
-- ARGV[12] 'evict' or 'deny'
-- ARGV[13] limits that roles bring, as role=number, each at least 1, comma separated; or empty
-- ARGV[14] roles that are not in the record and count for the limit, comma separated
-- ARGV[15] sizes of the rate limits, see limited_here
-- Returns  {DONE, record}     created, or created before by this operation
--          {SPENT}            the login that makes this session was done before
--          {BLOCKED}          the account is blocked
--          {FULL}             at the limit, and the policy is to deny
--          {LIMITED, ms}      too many logins of this account; when to come again
--          {DAMAGED}          the record is of no known form
local SPENT, BLOCKED, FULL = 3, 4, 5
local LOGGED_OUT, EVICTED = 1, 4
local EVENT_LOGIN = 1
local k, payload = subject(), KEYS[6]
local entry, sealed, keep, carried, policy = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[12]
local random = sub(entry, 1, 16)

-- limit_of is the most live sessions that one with these roles may have: the largest that any of them brings, or the
-- general one.
local function limit_of(roles)
  local limits, most = {}, nil
  for role, number in string.gmatch(ARGV[13], '([^=,]+)=(%d+)') do limits[role] = tonumber(number) end
  for role in string.gmatch(roles .. ',' .. ARGV[14], '[^,]+') do
    if limits[role] and (not most or limits[role] > most) then most = limits[role] end
  end
  return most or tonumber(ARGV[11])
end

-- oldest returns the number of the session that was seen longest ago; of equals, the one that logged in first.
local function oldest(list)
  local found, least
  for i, e in ipairs(list) do
    local seen = num(e, 22, 6)
    if not least or seen < least then found, least = i, seen end
  end
  return found
end

local raw = redis.call('GET', k.record) or blank()
if not sound(raw) then return {DAMAGED} end
local rec = open(raw)
for _, e in ipairs(rec.live) do
  if sub(e, 1, 16) == random then
    if sub(e, 131, 136) ~= k.op then return {SPENT} end
    repeated(k)
    return {DONE, raw}
  end
end
for _, e in ipairs(rec.ended) do
  if sub(e, 1, 16) == random then
    -- It took effect, its reply was lost, and it was ended before it was asked for again; or it is another's.
    return repeated(k) > 0 and {DONE, raw} or {SPENT}
  end
end
if byte(raw, 2) % 2 == 1 then return {BLOCKED} end

finish_where(k, rec, function(e) return due(e, 0, k.now) end, IDLE_TIMEOUT)
finish_where(k, rec, function(e) return sub(e, 1, 16) == carried end, LOGGED_OUT)
local limit = limit_of(rec.roles)
local full = #rec.live >= limit and policy == 'deny'
local wait = not full and limited_here(7, 15, k.now)
if full or wait then
  told = {} -- nothing of it is written
  return full and {FULL} or {LIMITED, wait}
end
while #rec.live >= limit do finish(k, rec, oldest(rec.live), EVICTED) end

rec.live[#rec.live + 1], rec.added = entry, entry
local first = num(rec.head, 2, 6)
if first == 0 then first = k.now end
rec.head = sub(rec.head, 1, 2) .. bin(first, 6) .. bin(math.max(k.now, num(rec.head, 8, 6)), 6) .. sub(rec.head, 15)
note(k, EVENT_LOGIN, random, 0)
redis.call('SET', payload, sealed, 'PX', keep)
save(k, rec)
return {DONE, redis.call('GET', k.record)}
