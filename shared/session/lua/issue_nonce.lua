-- Stores a nonce, within the rate limits of the network that asks. If they
-- refuse it, nothing is stored.
--
-- KEYS[1]   the nonce
-- KEYS[2..] the rate limits
-- ARGV[1]   now, ms
-- ARGV[2]   the value: 'i' and what it is issued for
-- ARGV[3]   how long to keep it, ms
-- ARGV[4]   sizes of the rate limits, see lib/rate_limit.lua
--
-- Returns  {DONE}         stored, now or when this was asked before
--          {LIMITED, ms}  too many; when to retry
--          {DAMAGED}      another value has this key
local nonce, now, value, keep, rate_limits = KEYS[1], tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]

local raw = redis.call('GET', nonce)
if raw == value then return {DONE} end
if raw then return {DAMAGED} end
local wait = rateLimit(2, rate_limits, now)
if wait then return {LIMITED, wait} end
redis.call('SET', nonce, value, 'PX', keep)
return {DONE}
