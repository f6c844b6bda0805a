-- Renews a session after a fresh signature: new tokens without grace for the
-- old ones, elevated, no step-up required, and bound to the caller's device and
-- network.
--
-- KEYS[1..5], ARGV[1..6]  see lib/subject.lua
-- KEYS[6]   the session's payload
-- KEYS[7]   its state, if ARGV[17] is a proof
-- ARGV[7]   session part of the id, 16 bytes
-- ARGV[8]   the generation that the caller read
-- ARGV[9]   hashes of the next generation: access, refresh; 32 bytes
-- ARGV[10]  access token lifetime, ms
-- ARGV[11]  idle timeout, ms
-- ARGV[12]  until when it is elevated, ms
-- ARGV[13]  client binding: device 8, network 8
-- ARGV[14]  flags: DEVICE_ID if the device is bound with its id, or 0
-- ARGV[15]  class of the device, 1 byte
-- ARGV[16]  the sealed payload
-- ARGV[17]  what a contract accepted, see lib/proof.lua; or empty
--
-- Returns  {DONE, entry}  renewed, now or when this change ran before
--          {STALE}        rotated since the caller read it: read again
--          {UNKNOWN}, {ENDED, reason, time, mine}, {DAMAGED}
local payload, session, generation = KEYS[6], ARGV[7], tonumber(ARGV[8])
local hashes, access, idle = ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11])
local elevated, binding, flags = tonumber(ARGV[12]), ARGV[13], tonumber(ARGV[14])
local class, sealed, proof, now = ARGV[15], ARGV[16], ARGV[17], change.now

local raw = redis.call('GET', change.record)
local at, reply = findLive(raw, session, now, change.idem)
if not at then
  emitAgain(change)
  return reply
end
if redis.call('EXISTS', payload) == 0 then return {UNKNOWN} end
local entry = get(raw, at, F.entry)
if get(entry, F.idem) == change.idem then
  emitAgain(change)
  return {DONE, entry}
end
if number(entry, F.generation) ~= generation then
  emitAgain(change) -- it took effect, and another change has overtaken it
  return {STALE}
end

local rec = open(raw)
rec.replaced = entry
-- The access token before this one has expired, at every clock. The refresh
-- token before it has no hash any more: it is unknown, and not taken for a
-- stolen one, since another tab may have sent it at the same moment.
entry = with(entry,
  F.seen, math.max(now, number(entry, F.seen)),
  F.idle, idleEnd(entry, now, idle),
  F.generation, generation + 1,
  F.hashes, hashes,
  F.former_access, F.access,
  F.former_refresh, NO_HASH,
  F.access_end, math.min(now + access, number(entry, F.absolute)),
  F.former_access_end, 0,
  F.rotated, now,
  F.idem, change.idem,
  F.binding, binding,
  F.last_binding, binding,
  F.elevated, elevated,
  F.flags, flags,
  F.class, class)
rec.added = entry
replace(rec, entry)
emit(change, EVENT_STEP_UP, session, 0, nil, nil, entry)
redis.call('SET', payload, sealed, 'XX', 'KEEPTTL')
save(change, rec)
if proof ~= '' then
  saveProof(KEYS[7], proof, now, number(entry, F.absolute) - now + MINUTE)
end
return {DONE, entry}
