-- Ends an attempt to use a nonce that came to no answer: another may begin.
--
-- KEYS[1]  the attempts of the nonce
-- ARGV[1]  idempotency key of the attempt, 6 bytes
--
-- Returns  {DONE}     also if the attempt is not the one under way
local attempts, idem = KEYS[1], ARGV[1]

local before = redis.call('GET', attempts)
if before and #before == ATTEMPT_SIZE and get(before, F.attempt.idem) == idem then
  redis.call('SET', attempts, with(before, F.attempt.free_at, 0), 'XX', 'KEEPTTL')
end
return {DONE}
