-- Renews a session after a fresh signature: new tokens without grace for the old ones, elevated, no longer held, and
-- bound to the caller's device and network.
-- KEYS[1..5], ARGV[1..6]  see subject
-- KEYS[6]  the session's payload
-- ARGV[7]  the session's random
-- ARGV[8]  the generation that the caller read
-- ARGV[9]  hashes of the next: access, refresh; 32 bytes
-- ARGV[10] access token lifetime, ms
-- ARGV[11] idle timeout, ms
-- ARGV[12] until when it is elevated, ms
-- ARGV[13] what is bound: device 8, network 8
-- ARGV[14] whether the device is bound with its id, 0 or 2
-- ARGV[15] class of the device, 1 byte
-- ARGV[16] the sealed payload
-- Returns  {DONE, entry}      renewed, now or when this operation asked before
--          {STALE}            rotated since the caller read it: read again
--          {UNKNOWN}, {OVER, reason, time, mine}, {DAMAGED}
local EVENT_STEP_UP = 4
local k, payload, random = subject(), KEYS[6], ARGV[7]
local generation, bound = tonumber(ARGV[8]), ARGV[13]

local raw = redis.call('GET', k.record)
local at, answer = live(raw, random, k.now, k.op)
if not at then return over_again(k, answer) end
if redis.call('EXISTS', payload) == 0 then return {UNKNOWN} end
local entry = sub(raw, at + 1, at + LIVE)
if sub(entry, 131, 136) == k.op then
  repeated(k)
  return {DONE, entry}
end
if num(entry, 40, 4) ~= generation then
  repeated(k) -- it took effect, and another change has overtaken it
  return {STALE}
end

local rec = open(raw)
rec.replaced = entry
local absolute = num(entry, 34, 6)
local seen = math.max(k.now, num(entry, 22, 6))
local ends = extended(entry, k.now, tonumber(ARGV[11]))
entry = random .. sub(entry, 17, 22) .. bin(seen, 6) .. bin(ends, 6) .. sub(entry, 35, 40)
  .. bin(generation + 1, 4) .. sub(entry, 45, 48)
  -- The access token of before has expired, at every clock. The refresh token of before has no hash any more: it is
  -- unknown, and not taken for a stolen one, since another tab may have sent it at the same moment.
  .. ARGV[9] .. sub(entry, 49, 64) .. bin(0, 16)
  .. bin(math.min(k.now + tonumber(ARGV[10]), absolute), 6) .. bin(0, 6)
  .. bin(k.now, 6) .. k.op .. bound .. bound
  .. bin(tonumber(ARGV[12]), 6) .. char(tonumber(ARGV[14])) .. sub(entry, 176, 184) .. ARGV[15]
rec.added = entry
replace(rec, entry)
note(k, EVENT_STEP_UP, random, 0)
redis.call('SET', payload, ARGV[16], 'XX', 'KEEPTTL')
save(k, rec)
return {DONE, entry}
