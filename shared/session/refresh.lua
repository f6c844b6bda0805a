-- Rotates a session's tokens, or answers a repeat, or recognises a stolen token.
-- KEYS[1]  the subject's record
-- KEYS[2]  the session's payload
-- ARGV[1]  the session's random
-- ARGV[2]  generation of the presented refresh token
-- ARGV[3]  hash of the presented refresh token, 16 bytes
-- ARGV[4]  now, ms
-- ARGV[5]  operation, 6 bytes
-- ARGV[6]  grace, ms
-- ARGV[7]  access token lifetime, ms
-- ARGV[8]  idle timeout, ms
-- ARGV[9]  hashes of the successor: access, refresh; 32 bytes
-- ARGV[10] the caller's device, 8 bytes: without, then with the id it sent; 16 bytes
-- ARGV[11] the caller's transport, 1 byte
-- Returns  {DONE, entry, payload}  what is current now: the presented token's own generation, or the next
--          {UNKNOWN}               no such session, payload or token
--          {OVER, reason, time, mine}
--          {DAMAGED}
local REFRESH_REUSED, STORE_RESET = 7, 11
local key, payload, random = KEYS[1], KEYS[2], ARGV[1]
local generation, hash, now, op = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), ARGV[5]
local grace, access, idle = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local successor, devices, transport = ARGV[9], ARGV[10], ARGV[11]

local raw = redis.call('GET', key)
local at, answer = live(raw, random, now, op)
if not at then return answer end
local sealed = redis.call('GET', payload)
if not sealed then return {UNKNOWN} end
local entry = sub(raw, at + 1, at + LIVE)
if sub(entry, 184, 184) ~= transport then return {UNKNOWN} end

local function stop(reason) return over(key, payload, raw, random, reason, now, op) end

local current, rotated = num(entry, 40, 4), num(entry, 124, 6)
if generation > current then return stop(STORE_RESET) end
if generation < current - 1 then return stop(REFRESH_REUSED) end
local behind = generation < current
local known = behind and sub(entry, 97, 112) or sub(entry, 65, 80)
if known ~= hash then return {UNKNOWN} end

-- A caller's clock may run behind the one that rotated: an earlier time counts as within the grace. Where nothing was
-- rotated yet the time is 0, long ago.
local within = now < rotated + grace
if behind then
  if sub(entry, 131, 136) == op then return {DONE, entry, sealed} end -- our own rotation, asked for again
  local device = byte(entry, 175) % 4 >= 2 and sub(devices, 9, 16) or sub(devices, 1, 8)
  if within and device == sub(entry, 137, 144) then return {DONE, entry, sealed} end
  return stop(REFRESH_REUSED)
end
if within then return {DONE, entry, sealed} end

local seen, absolute = math.max(now, num(entry, 22, 6)), num(entry, 34, 6)
local ends = math.max(num(entry, 28, 6), math.min(now + idle, absolute))
entry = sub(entry, 1, 22) .. bin(seen, 6) .. bin(ends, 6) .. sub(entry, 35, 40)
  .. bin(current + 1, 4) .. sub(entry, 45, 48)
  .. successor .. sub(entry, 49, 80)
  .. bin(math.min(now + access, absolute), 6) .. sub(entry, 113, 118)
  .. bin(now, 6) .. op .. sub(entry, 137)
redis.call('SETRANGE', key, at, entry)
return {DONE, entry, sealed}
