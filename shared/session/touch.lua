-- Records activity: moves a session's idle deadline. It looks again before it writes, since the session may have ended
-- since the caller read it.
-- KEYS[1]  the subject's record
-- ARGV[1]  the session's random
-- ARGV[2]  now, ms
-- ARGV[3]  touch interval, ms: younger activity is left as it is
-- ARGV[4]  idle timeout, ms
-- Returns  {DONE, entry}      the session as it is now
--          {UNKNOWN}, {OVER, reason, time, mine}, {DAMAGED}
local key, random = KEYS[1], ARGV[1]
local now, interval, idle = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local raw = redis.call('GET', key)
local at, answer = live(raw, random, now, '')
if not at then return answer end
local entry = sub(raw, at + 1, at + LIVE)
local seen, ends = num(entry, 22, 6), num(entry, 28, 6)
if seen + interval > now then return {DONE, entry} end

ends = math.max(ends, math.min(now + idle, num(entry, 34, 6)))
local moved = bin(now, 6) .. bin(ends, 6)
local written = redis.pcall('SETRANGE', key, at + 22, moved)
if type(written) == 'table' and written.err then
  -- With memory full the deadline stays where it was: nobody is refused for that.
  if string.find(written.err, 'OOM', 1, true) then return {DONE, entry} end
  return written
end
return {DONE, sub(entry, 1, 22) .. moved .. sub(entry, 35)}
