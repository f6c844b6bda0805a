-- Creates a session, within the limits.
--
-- KEYS[1..5], ARGV[1..6]  see lib/subject.lua
-- KEYS[6]   the session's payload
-- KEYS[7]   the preferences
-- KEYS[8]   the partition's registry, see lib/registry.lua
-- KEYS[9]   what is sealed of its accounts
-- then      payload and state of the session in ARGV[10], if it has one
-- then      the state of the session, if ARGV[16] is a proof
-- then      the rate limits of the account's logins
-- ARGV[7]   the entry to list; its idempotency key is ARGV[2]
-- ARGV[8]   the sealed payload
-- ARGV[9]   how long to keep the payload, ms
-- ARGV[10]  session part of a presented session of the same subject, which is
--           replaced; or empty
-- ARGV[11]  session limit, at least 1
-- ARGV[12]  'evict' or 'deny': what to do at the limit
-- ARGV[13]  session limits of roles, as role=number, each at least 1, comma
--           separated; or empty
-- ARGV[14]  roles that are not in the record and count for the limit, comma
--           separated
-- ARGV[15]  sizes of the rate limits, see lib/rate_limit.lua
-- ARGV[16]  what a contract accepted, see lib/proof.lua; or empty
-- ARGV[17]  the account's name, sealed
--
-- Returns  {DONE, record}  created, now or when this change ran before
--          {SPENT}         the login that makes this session was done before
--          {BLOCKED}       the account is blocked
--          {FULL}          at the session limit, and the policy is to deny
--          {LIMITED, ms}   too many logins of this account; when to retry
--          {DAMAGED}       the record has no known layout
local payload, preferences = KEYS[6], KEYS[7]
local entry, sealed, keep, presented = ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local general_limit, policy, role_limits, other_roles = ARGV[11], ARGV[12], ARGV[13], ARGV[14]
local rate_limits, proof, name = ARGV[15], ARGV[16], ARGV[17]
change.registry, change.registry_text = KEYS[8], KEYS[9]
local session, replaces = get(entry, F.session), presented ~= ''

local next_key = replaces and 12 or 10
local state = proof ~= '' and KEYS[next_key]
if state then next_key = next_key + 1 end

-- limitOf returns how many live sessions an account with these roles may have:
-- the largest limit of its roles, or the general one.
local function limitOf(roles)
  local limits, most = {}, nil
  for role, limit in string.gmatch(role_limits, '([^=,]+)=(%d+)') do
    limits[role] = tonumber(limit)
  end
  for role in string.gmatch(roles .. ',' .. other_roles, '[^,]+') do
    if limits[role] and (not most or limits[role] > most) then most = limits[role] end
  end
  return most or tonumber(general_limit)
end

-- leastRecent returns the number of the session that was seen longest ago; of
-- equals, of the one that logged in first.
local function leastRecent(entries)
  local found, least
  for i, e in ipairs(entries) do
    local seen = number(e, F.seen)
    if not least or seen < least then found, least = i, seen end
  end
  return found
end

local raw = redis.call('GET', change.record) or BLANK_RECORD
if not wellFormed(raw) then return {DAMAGED} end
local rec = open(raw)
for _, e in ipairs(rec.live) do
  if get(e, F.session) == session then
    if get(e, F.idem) ~= change.idem then return {SPENT} end
    emitAgain(change)
    return {DONE, raw}
  end
end
for _, e in ipairs(rec.ended) do
  if get(e, F.ended.session) == session then
    -- Either this change took effect, its reply was lost, and the session was
    -- ended before the retry; or the session is another login's.
    return emitAgain(change) > 0 and {DONE, raw} or {SPENT}
  end
end
if number(raw, F.head.flags) % (2 * BLOCKED_FLAG) >= BLOCKED_FLAG then return {BLOCKED} end

endEntries(change, rec, function(e) return expiry(e, 0, change.now) end, IDLE_TIMEOUT)
endEntries(change, rec, function(e) return get(e, F.session) == presented end, LOGGED_OUT)
local limit = limitOf(rec.roles)
local full = #rec.live >= limit and policy == 'deny'
local wait = not full and rateLimit(next_key, rate_limits, change.now)
if full or wait then
  emitted = {} -- nothing of it is written
  return full and {FULL} or {LIMITED, wait}
end
while #rec.live >= limit do endEntry(change, rec, leastRecent(rec.live), EVICTED) end

rec.live[#rec.live + 1], rec.added = entry, entry
local created = number(rec.head, F.head.created)
if created == 0 then created = change.now end
rec.head = with(rec.head,
  F.head.created, created,
  F.head.last_login, math.max(change.now, number(rec.head, F.head.last_login)))
emit(change, EVENT_LOGIN, session, 0, nil, nil, entry)
redis.call('SET', payload, sealed, 'PX', keep)
-- The preferences outlive this login, whether or not the record knew of them:
-- they may have expired, or outlived the record.
local kept = redis.call('PEXPIRE', preferences, ttl(change, preferencesEnd(change, rec)))
setPreferencesFlag(rec, kept == 1)
if replaces then redis.call('UNLINK', KEYS[10], KEYS[11]) end
if state then saveProof(state, proof, change.now, tonumber(keep)) end
save(change, rec)
-- Its name may have been unknown when it got its roles, or sealed with an old
-- key. An account without roles costs nothing.
if isRegistered(rec) then updateRegistry(change, rec, name) end
return {DONE, redis.call('GET', change.record)}
