-- Rotates a session's tokens, or answers a repeat, or detects that a token was
-- reused.
--
-- KEYS[1..5], ARGV[1..6]  see lib/subject.lua
-- KEYS[6]   the session's payload
-- KEYS[7]   its state
-- KEYS[8..] the rate limits of refreshing
-- ARGV[7]   session part of the id, 16 bytes
-- ARGV[8]   generation of the presented refresh token
-- ARGV[9]   hash of the presented refresh token, 16 bytes
-- ARGV[10]  grace, ms
-- ARGV[11]  access token lifetime, ms
-- ARGV[12]  idle timeout, ms
-- ARGV[13]  hashes of the successor: access, refresh; 32 bytes
-- ARGV[14]  policies for device and network, 2 bytes
-- ARGV[15]  the caller's device: two hashes, only the first, or empty; see
--           checkBinding
-- ARGV[16]  the caller's network, 8 bytes, or empty if it presented none
-- ARGV[17]  the caller's transport, a number
-- ARGV[18]  sizes of the rate limits, see lib/rate_limit.lua
-- ARGV[19]  how long after a check a contract's proof is checked again, ms; 0
--           for never
--
-- Returns  {DONE, entry, payload, proof}
--            what is current now: the presented token's own generation, or the
--            next; proof is sealed if the caller is to check it, else empty
--          {UNKNOWN}               no such session, payload or token
--          {LIMITED, ms}           too many; nothing was changed; when to retry
--          {ENDED, reason, time, mine}
--          {DAMAGED}
local payload, state, session = KEYS[6], KEYS[7], ARGV[7]
local generation, hash, grace = tonumber(ARGV[8]), ARGV[9], tonumber(ARGV[10])
local access, idle, successor = tonumber(ARGV[11]), tonumber(ARGV[12]), ARGV[13]
local policies, devices, network, transport = ARGV[14], ARGV[15], ARGV[16], tonumber(ARGV[17])
local rate_limits, recheck, now = ARGV[18], tonumber(ARGV[19]), change.now

local raw = redis.call('GET', change.record)
local at, reply = findLive(raw, session, now, change.idem)
if not at then
  emitAgain(change)
  return reply
end
local sealed = redis.call('GET', payload)
if not sealed then return {UNKNOWN} end
local entry = get(raw, at, F.entry)
if number(entry, F.transport) % OF_CONTRACT ~= transport then return {UNKNOWN} end

-- currentIs returns the reply for an entry.
local function currentIs(entry)
  local proof = ''
  if number(entry, F.transport) >= OF_CONTRACT then
    proof = claimCheck(state, now, change.idem, recheck)
  end
  return {DONE, entry, sealed, proof}
end

local function stop(reason) return endAndReply(change, payload, state, raw, session, reason) end

local current, rotated = number(entry, F.generation), number(entry, F.rotated)
if generation > current then return stop(STORE_RESET) end
-- A caller's clock may be behind the one that rotated: an earlier time counts
-- as within the grace. If nothing was rotated yet, the time is 0, long ago.
local within = now < rotated + grace
-- A step-up leaves the generation before it without a hash. Until its grace is
-- over, an older generation is merely unknown: another tab may have sent it at
-- the same moment, and a signature was given since. So is a token that was sent
-- before the last rotation and arrives after it: it was good then.
if generation < current - 1 then
  if now < rotated or within and get(entry, F.former_refresh) == NO_HASH then
    emitAgain(change)
    return {UNKNOWN}
  end
  return stop(REFRESH_REUSED)
end
local behind = generation < current
local expected = behind and get(entry, F.former_refresh) or get(entry, F.refresh)
if expected ~= hash then return {UNKNOWN} end

if behind then
  if get(entry, F.idem) == change.idem then -- the retry of this very rotation
    emitAgain(change)
    return currentIs(entry)
  end
  local device = presentedDevice(entry, devices)
  local bound = number(policies, F.policies.device) == OFF or device == ''
    or device == get(entry, F.device)
  if not (within and bound) then return stop(REFRESH_REUSED) end
end
local checked, result = entry, nil
if not within then
  checked, result = checkBinding(change, entry, policies, devices, network, true)
end
if result == REVOKE then return stop(HIJACK_SUSPECTED) end
local wait = rateLimit(8, rate_limits, now)
if wait then
  emitted = {} -- nothing of it is written
  return {LIMITED, wait}
end
if within then return currentIs(entry) end

entry = with(checked,
  F.seen, math.max(now, number(checked, F.seen)),
  F.idle, idleEnd(checked, now, idle),
  F.generation, current + 1,
  F.hashes, successor,
  F.former_hashes, F.hashes,
  F.access_end, math.min(now + access, number(checked, F.absolute)),
  F.former_access_end, F.access_end,
  F.rotated, now,
  F.idem, change.idem)
emit(change, EVENT_REFRESH, session, 0, nil, nil, entry)
writeEvents(change)
redis.call('SETRANGE', change.record, at, entry)
return currentIs(entry)
