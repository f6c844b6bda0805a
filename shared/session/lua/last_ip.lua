-- Keeps the last address in a session's payload up to date, once a change of
-- network was recorded. The payload is written only if the session is still as
-- the caller saw it: a step-up since then has sealed another payload.
--
-- KEYS[1]  the subject's record
-- KEYS[2]  the session's payload
-- ARGV[1]  now, ms
-- ARGV[2]  idempotency key of the login or the last rotation, as the caller saw
--          it
-- ARGV[3]  session part of the id, 16 bytes
-- ARGV[4]  the network last recorded, as the caller saw it, 8 bytes
-- ARGV[5]  the sealed payload
--
-- Returns  {DONE}   written, or there is no payload any more
--          {STALE}  the session has changed since
--          {UNKNOWN}, {ENDED, reason, time, mine}, {DAMAGED}
local record, payload, now, idem = KEYS[1], KEYS[2], tonumber(ARGV[1]), ARGV[2]
local session, network, sealed = ARGV[3], ARGV[4], ARGV[5]

local raw = redis.call('GET', record)
local at, reply = findLive(raw, session, now, idem)
if not at then return reply end
if get(raw, at, F.idem) ~= idem or get(raw, at, F.last_network) ~= network then return {STALE} end
redis.call('SET', payload, sealed, 'XX', 'KEEPTTL')
return {DONE}
