-- Records activity: moves a session's idle deadline, and writes down that device or network changed. It looks again
-- before it writes, since the session may have ended since the caller read it, or a step-up have replaced its tokens: then
-- the caller is somebody else's memory of the session, and neither opens it nor is judged.
-- KEYS[1..5], ARGV[1..6]  see subject
-- KEYS[6]  the session's payload
-- KEYS[7]  its state
-- ARGV[7]  the session's random
-- ARGV[8]  touch interval, ms: younger activity is left as it is
-- ARGV[9]  idle timeout, ms
-- ARGV[10] policies for device and network, 2 bytes
-- ARGV[11] the caller's device: two hashes, see judge
-- ARGV[12] the caller's network, 8 bytes, or empty where the request could show none
-- ARGV[13] hash of the presented access token, 16 bytes
-- ARGV[14] grace, ms
-- Returns  {DONE, entry}      the session as it is now
--          {EXPIRED}          the token has been superseded, or is past its end
--          {UNKNOWN}, {OVER, reason, time, mine}, {DAMAGED}
local EXPIRED = 13
local k, payload, state, random = subject(), KEYS[6], KEYS[7], ARGV[7]
local interval, idle = tonumber(ARGV[8]), tonumber(ARGV[9])
local hash, grace = ARGV[13], tonumber(ARGV[14])

-- good tells whether an access token of that hash still opens: the current one to its end, the one before to the end of
-- the grace at most.
local function good(entry)
  if hash == sub(entry, 49, 64) then return k.now < num(entry, 112, 6) end
  return hash == sub(entry, 81, 96) and k.now < math.min(num(entry, 118, 6), num(entry, 124, 6) + grace)
end

local raw = redis.call('GET', k.record)
local at, answer = live(raw, random, k.now, k.op)
if not at then return over_again(k, answer) end
local entry = sub(raw, at + 1, at + LIVE)
if not good(entry) then
  repeated(k)
  return {EXPIRED}
end
local moved, verdict = num(entry, 22, 6) + interval <= k.now, nil
entry, verdict = judge(k, entry, ARGV[10], ARGV[11], ARGV[12], moved)
if verdict == REVOKE then return over(k, payload, state, raw, random, HIJACK_SUSPECTED) end
if moved then
  entry = sub(entry, 1, 22) .. bin(k.now, 6) .. bin(extended(entry, k.now, idle), 6) .. sub(entry, 35)
end
if verdict then
  local rec = open(raw)
  replace(rec, entry)
  rec.must = true -- what holds a session is written also with memory full
  save(k, rec)
  return {DONE, entry}
end
if not moved then
  repeated(k)
  return {DONE, entry}
end
local written = redis.pcall('SETRANGE', k.record, at + 22, sub(entry, 23, 34))
if type(written) == 'table' and written.err then
  -- With memory full the deadline stays where it was: nobody is refused for that.
  if string.find(written.err, 'OOM', 1, true) then return {DONE, sub(raw, at + 1, at + LIVE)} end
  return written
end
return {DONE, entry}
