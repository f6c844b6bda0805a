-- Spends a nonce: the first operation that asks has it, whoever else asks comes too late.
-- KEYS[1]  the nonce
-- ARGV[1]  operation, 6 bytes
-- Returns  {UNKNOWN}          never issued, or gone
--          {DONE, terms}      this operation's, now and when it asks again; terms are what it was issued for
--          {SPENT}            another operation's
--          {DAMAGED}          what is stored is no nonce
local SPENT = 3
local key, op = KEYS[1], ARGV[1]

local raw = redis.call('GET', key)
if not raw then return {UNKNOWN} end
local state = sub(raw, 1, 1)
if state == 's' then
  if sub(raw, 2, 7) == op then return {DONE, sub(raw, 8)} end
  return {SPENT}
end
if state ~= 'i' then return {DAMAGED} end
redis.call('SET', key, 's' .. op .. sub(raw, 2), 'XX', 'KEEPTTL')
return {DONE, sub(raw, 2)}
