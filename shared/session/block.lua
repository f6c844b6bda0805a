-- Blocks an account, and with that ends every session of it; or unblocks it. One that was never seen can be blocked too.
-- KEYS[1..5], ARGV[1..6]  see subject
-- ARGV[7]  1 to block, 0 to unblock
-- ARGV[8]  1 where the caller took the account off the list of admins
-- Returns  {STALE}            it became an admin since the caller looked: look again
--          {DONE, roles}      also where it was so before
--          {DAMAGED}
local STALE = 10
local ACCOUNT_BLOCKED = 9
local EVENT_BLOCKED, EVENT_UNBLOCKED = 8, 9
local k, block = subject(), tonumber(ARGV[7])

local raw = redis.call('GET', k.record)
if not raw and block == 0 then return {DONE, ''} end
raw = raw or blank()
if not sound(raw) then return {DAMAGED} end
local rec = open(raw)
local flags = byte(raw, 2)
if repeated(k) > 0 or flags % 2 == block then return {DONE, rec.roles} end -- by itself, or by another

if block == 1 and is_admin(rec.roles) and ARGV[8] ~= '1' then return {STALE} end
local ended, at = 0, bin(0, 6)
if block == 1 then
  at = bin(k.now, 6)
  ended = finish_where(k, rec, function() return true end, ACCOUNT_BLOCKED)
end
note(k, block == 1 and EVENT_BLOCKED or EVENT_UNBLOCKED, no_session, 0)
rec.head = flagged(rec.head, flags - flags % 2 + block, at, k.op, ended)
rec.must = true
save(k, rec)
return {DONE, rec.roles}
