-- Blocks an account, and with that ends every session of it; or unblocks it. One that was never seen can be blocked too.
-- KEYS[1..5], ARGV[1..6]  see subject
-- KEYS[6]  this operation's answer, see remember
-- ARGV[7]  1 to block, 0 to unblock
-- ARGV[8]  the roles by which the caller decided, see other_roles
-- Returns  {STALE}            the account has other roles: look again
--          {DONE, roles}      also where it was so before
--          {DAMAGED}
local ACCOUNT_BLOCKED = 9
local EVENT_BLOCKED, EVENT_UNBLOCKED = 8, 9
local k, memory, block = subject(), KEYS[6], tonumber(ARGV[7])

local before = known(memory)
if before then return before end
local raw = redis.call('GET', k.record)
if not raw and block == 0 then return remember(memory, {DONE, ''}) end
raw = raw or blank()
if not sound(raw) then return {DAMAGED} end
local rec = open(raw)
local flags = byte(raw, 2)
if other_roles(rec.roles, ARGV[8]) then return {STALE} end
if flags % 2 == block then return remember(memory, {DONE, rec.roles}) end -- by another

local ended, at = 0, bin(0, 6)
if block == 1 then
  at = bin(k.now, 6)
  ended = finish_where(k, rec, function() return true end, ACCOUNT_BLOCKED)
end
note(k, block == 1 and EVENT_BLOCKED or EVENT_UNBLOCKED, no_session, 0)
rec.head = flagged(rec.head, flags - flags % 2 + block, at, k.op, ended)
rec.must = true
save(k, rec)
return remember(memory, {DONE, rec.roles})
