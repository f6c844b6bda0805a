-- Keeps the last address in a session's payload up to date, once a change of network was recorded. It is written only
-- where the session still is as the caller saw it: a step-up that came since has sealed another payload.
-- KEYS[1]  the subject's record
-- KEYS[2]  the session's payload
-- ARGV[1]  now, ms
-- ARGV[2]  operation of the login or the last rotation, as the caller saw it
-- ARGV[3]  the session's random
-- ARGV[4]  the network last recorded, as the caller saw it, 8 bytes
-- ARGV[5]  the sealed payload
-- Returns  {DONE}             written, or there is no payload any more
--          {STALE}            the session has changed since
--          {UNKNOWN}, {OVER, reason, time, mine}, {DAMAGED}
local record, payload = KEYS[1], KEYS[2]
local op, network = ARGV[2], ARGV[4]

local raw = redis.call('GET', record)
local at, answer = live(raw, ARGV[3], tonumber(ARGV[1]), op)
if not at then return answer end
if sub(raw, at + 131, at + 136) ~= op or sub(raw, at + 161, at + 168) ~= network then return {STALE} end
redis.call('SET', payload, ARGV[5], 'XX', 'KEEPTTL')
return {DONE}
