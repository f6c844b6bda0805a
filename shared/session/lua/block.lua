-- Blocks an account, and with that ends every session of it; or unblocks it. An
-- account that was never seen can be blocked, too.
--
-- KEYS[1..5], ARGV[1..6]  see lib/subject.lua
-- KEYS[6..8]              see lib/account.lua
-- ARGV[7]   1 to block, 0 to unblock
-- ARGV[8]   the roles on which the caller based its decision, see rolesChanged
--
-- Returns  {DONE, roles}  also if it was so before
--          {STALE}        the account has other roles: read again
--          {DAMAGED}
local block, expected = tonumber(ARGV[7]), ARGV[8]

local before = loadReply(account.cache)
if before then return before end
local raw = redis.call('GET', change.record)
if not raw and block == 0 then return saveReply(account.cache, {DONE, ''}) end
raw = raw or BLANK_RECORD
if not wellFormed(raw) then return {DAMAGED} end
local rec = open(raw)
local flags = number(raw, F.head.flags)
local blocked = flags % (2 * BLOCKED_FLAG)
if rolesChanged(rec.roles, expected) then return {STALE} end
if blocked == block then return saveReply(account.cache, {DONE, rec.roles}) end -- by another change

local ended, blocked_at, event = 0, 0, EVENT_UNBLOCKED
if block == 1 then
  blocked_at, event = change.now, EVENT_BLOCKED
  ended = endEntries(change, rec, function() return true end, ACCOUNT_BLOCKED)
end
emit(change, event, NO_SESSION, 0)
rec.head = with(rec.head,
  F.head.flags, flags - blocked + block,
  F.head.blocked_at, blocked_at,
  F.head.idem, change.idem,
  F.head.count, ended)
rec.required = true
save(change, rec)
return saveReply(account.cache, {DONE, rec.roles})
