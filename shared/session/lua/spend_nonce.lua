-- Spends a nonce: the first caller gets it, every other caller is too late.
--
-- KEYS[1]  the nonce
-- ARGV[1]  idempotency key, 6 bytes
--
-- Returns  {UNKNOWN}      never issued, or gone
--          {DONE, terms}  spent by this caller, now or when it asked before;
--                         terms are what it was issued for
--          {SPENT}        spent by another caller
--          {DAMAGED}      what is stored is not a nonce
local nonce, idem = KEYS[1], ARGV[1]

local raw = redis.call('GET', nonce)
if not raw then return {UNKNOWN} end
local status = get(raw, F.issued.status)
if status == 's' then
  if get(raw, F.spent.idem) == idem then return {DONE, tail(raw, F.spent.terms)} end
  return {SPENT}
end
if status ~= 'i' then return {DAMAGED} end
local terms = tail(raw, F.issued.terms)
redis.call('SET', nonce, pack(F.spent.status, 's', F.spent.idem, idem) .. terms, 'XX', 'KEEPTTL')
return {DONE, terms}
