-- Rotates a session's tokens, or answers a repeat, or recognises a stolen token.
-- KEYS[1..5], ARGV[1..6]  see subject
-- KEYS[6]  the session's payload
-- KEYS[7]  its state
-- KEYS[8..] the rate limits of refreshing
-- ARGV[7]  the session's random
-- ARGV[8]  generation of the presented refresh token
-- ARGV[9]  hash of the presented refresh token, 16 bytes
-- ARGV[10] grace, ms
-- ARGV[11] access token lifetime, ms
-- ARGV[12] idle timeout, ms
-- ARGV[13] hashes of the successor: access, refresh; 32 bytes
-- ARGV[14] policies for device and network, 2 bytes
-- ARGV[15] the caller's device: two hashes, see judge
-- ARGV[16] the caller's network, 8 bytes
-- ARGV[17] the caller's transport, 1 byte
-- ARGV[18] sizes of the rate limits, see limited_here
-- Returns  {DONE, entry, payload}  what is current now: the presented token's own generation, or the next
--          {UNKNOWN}               no such session, payload or token
--          {LIMITED, ms}           too many; nothing was changed
--          {OVER, reason, time, mine}
--          {DAMAGED}
local REFRESH_REUSED, STORE_RESET = 7, 11
local EVENT_REFRESH = 2
local k, payload, state, random = subject(), KEYS[6], KEYS[7], ARGV[7]
local generation, hash = tonumber(ARGV[8]), ARGV[9]
local grace, access, idle = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local successor, policies, devices, transport = ARGV[13], ARGV[14], ARGV[15], ARGV[17]

local raw = redis.call('GET', k.record)
local at, answer = live(raw, random, k.now, k.op)
if not at then return over_again(k, answer) end
local sealed = redis.call('GET', payload)
if not sealed then return {UNKNOWN} end
local entry = sub(raw, at + 1, at + LIVE)
if sub(entry, 184, 184) ~= transport then return {UNKNOWN} end

local function stop(reason) return over(k, payload, state, raw, random, reason) end

local current, rotated = num(entry, 40, 4), num(entry, 124, 6)
if generation > current then return stop(STORE_RESET) end
-- A caller's clock may run behind the one that rotated: an earlier time counts as within the grace. Where nothing was
-- rotated yet the time is 0, long ago.
local within = k.now < rotated + grace
-- A step-up leaves the generation before it without a hash. Until its grace is over, what is older than that is no more
-- than unknown: another tab may have sent it at the same moment, and a signature was given since. So is what was asked for
-- before the last rotation and arrives after it: it was good then, and has been under way.
if generation < current - 1 then
  if k.now < rotated or within and sub(entry, 97, 112) == bin(0, 16) then
    repeated(k)
    return {UNKNOWN}
  end
  return stop(REFRESH_REUSED)
end
local behind = generation < current
local known = behind and sub(entry, 97, 112) or sub(entry, 65, 80)
if known ~= hash then return {UNKNOWN} end

if behind then
  if sub(entry, 131, 136) == k.op then -- our own rotation, asked for again
    repeated(k)
    return {DONE, entry, sealed}
  end
  local device = shown(entry, devices)
  local bound = byte(policies, 1) == OFF or device == '' or device == sub(entry, 137, 144)
  if not (within and bound) then return stop(REFRESH_REUSED) end
end
local judged, verdict = entry, nil
if not within then judged, verdict = judge(k, entry, policies, devices, ARGV[16], true) end
if verdict == REVOKE then return stop(HIJACK_SUSPECTED) end
local wait = limited_here(8, 18, k.now)
if wait then
  told = {} -- nothing of it is written
  return {LIMITED, wait}
end
if within then return {DONE, entry, sealed} end

entry = judged
local seen, absolute = math.max(k.now, num(entry, 22, 6)), num(entry, 34, 6)
local ends = extended(entry, k.now, idle)
entry = sub(entry, 1, 22) .. bin(seen, 6) .. bin(ends, 6) .. sub(entry, 35, 40)
  .. bin(current + 1, 4) .. sub(entry, 45, 48)
  .. successor .. sub(entry, 49, 80)
  .. bin(math.min(k.now + access, absolute), 6) .. sub(entry, 113, 118)
  .. bin(k.now, 6) .. k.op .. sub(entry, 137)
note(k, EVENT_REFRESH, random, 0)
flush(k)
redis.call('SETRANGE', k.record, at, entry)
return {DONE, entry, sealed}
