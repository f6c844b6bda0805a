-- Gives an account roles, in place of those that it had. An account that was
-- never seen can be given roles, too.
--
-- KEYS[1..5], ARGV[1..6]  see lib/subject.lua
-- KEYS[6..10]             see lib/account.lua
-- ARGV[7]   the roles, comma separated, at most 255 bytes
-- ARGV[8]   the account's name, see nameOf; or empty
-- ARGV[9]   the roles on which the caller based its decision, see rolesChanged
--
-- Returns  {DONE, record}  also if the roles were the same before
--          {STALE}         the account has other roles: read again
--          {DAMAGED}
local roles, name, expected = ARGV[7], ARGV[8], ARGV[9]

local before = loadReply(account.cache)
if before then return before end
local raw = redis.call('GET', change.record) or BLANK_RECORD
if not wellFormed(raw) then return {DAMAGED} end
local rec = open(raw)
name = nameOf(rec, name)
if rolesChanged(rec.roles, expected) then return {STALE} end
if rec.roles == roles then
  -- First, since it begins with a write that needs no memory.
  saveReply(account.cache, {DONE, raw})
  updateRegistry(change, rec, name)
  return {DONE, raw}
end
rec.roles = roles
rec.head = with(rec.head, F.head.idem, change.idem, F.head.count, 0)
rec.required = true
emit(change, EVENT_ROLES, NO_SESSION, 0)
save(change, rec)
updateRegistry(change, rec, name)
return saveReply(account.cache, {DONE, redis.call('GET', change.record)})
