-- Records activity: moves a session's idle end, and records that device or
-- network changed. It looks again before it writes. Since the caller read it
-- the session may have ended, or a step-up may have replaced its tokens: then
-- the presented token opens nothing, and the binding is not checked.
--
-- KEYS[1..5], ARGV[1..6]  see lib/subject.lua
-- KEYS[6]   the session's payload
-- KEYS[7]   its state
-- ARGV[7]   session part of the id, 16 bytes
-- ARGV[8]   touch interval, ms: younger activity is left as it is
-- ARGV[9]   idle timeout, ms
-- ARGV[10]  policies for device and network, 2 bytes
-- ARGV[11]  the caller's device: two hashes, only the first, or empty; see
--           checkBinding
-- ARGV[12]  the caller's network, 8 bytes, or empty if it presented none
-- ARGV[13]  hash of the presented access token, 16 bytes
-- ARGV[14]  grace, ms
--
-- Returns  {DONE, entry}  the session as it is now
--          {EXPIRED}      the token has been superseded, or has expired
--          {UNKNOWN}, {ENDED, reason, time, mine}, {DAMAGED}
local payload, state, session = KEYS[6], KEYS[7], ARGV[7]
local interval, idle, policies = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]
local devices, network, hash, grace = ARGV[11], ARGV[12], ARGV[13], tonumber(ARGV[14])
local now = change.now

local raw = redis.call('GET', change.record)
local at, reply = findLive(raw, session, now, change.idem)
if not at then
  emitAgain(change)
  return reply
end
local before = get(raw, at, F.entry)
if not isGoodAccess(before, hash, grace, now) then
  emitAgain(change)
  return {EXPIRED}
end
local moves = number(before, F.seen) + interval <= now
local entry, result = checkBinding(change, before, policies, devices, network, moves)
if result == REVOKE then
  return endAndReply(change, payload, state, raw, session, HIJACK_SUSPECTED)
end
if moves then entry = with(entry, F.seen, now, F.idle, idleEnd(entry, now, idle)) end
if result then
  local rec = open(raw)
  replace(rec, entry)
  rec.required = true -- a required step-up is recorded even if memory is full
  save(change, rec)
  return {DONE, entry}
end
if not moves then
  emitAgain(change)
  return {DONE, entry}
end
local written = redis.pcall('SETRANGE', change.record, at + offset(F.seen), get(entry, F.activity))
if type(written) == 'table' and written.err then
  -- If memory is full the deadline stays where it was: nobody is refused for
  -- that.
  if string.find(written.err, 'OOM', 1, true) then return {DONE, before} end
  return written
end
return {DONE, entry}
