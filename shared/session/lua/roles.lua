-- Gives an account roles, in place of those that it had. An account that was
-- never seen can be given roles, too.
--
-- KEYS[1..5], ARGV[1..6]  see lib/subject.lua
-- KEYS[6..8]              see lib/account.lua
-- ARGV[7]   the roles, comma separated, at most 255 bytes
-- ARGV[8]   the roles on which the caller based its decision, see rolesChanged
--
-- Returns  {DONE, record}  also if the roles were the same before
--          {STALE}         the account has other roles: read again
--          {DAMAGED}
local roles, expected = ARGV[7], ARGV[8]

local before = loadReply(account.cache)
if before then return before end
local raw = redis.call('GET', change.record) or BLANK_RECORD
if not wellFormed(raw) then return {DAMAGED} end
local rec = open(raw)
if rolesChanged(rec.roles, expected) then return {STALE} end
if rec.roles == roles then return saveReply(account.cache, {DONE, raw}) end
rec.roles = roles
rec.head = with(rec.head, F.head.idem, change.idem, F.head.count, 0)
rec.required = true
emit(change, EVENT_ROLES, NO_SESSION, 0)
save(change, rec)
return saveReply(account.cache, {DONE, redis.call('GET', change.record)})
