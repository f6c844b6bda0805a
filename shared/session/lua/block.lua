-- Blocks an account, and with that ends every session of it; or unblocks it. An
-- account that was never seen can be blocked, too.
--
-- KEYS[1..5], ARGV[1..6]  see lib/subject.lua
-- KEYS[6..10]             see lib/account.lua
-- ARGV[7]   1 to block, 0 to unblock
-- ARGV[8]   the account's name, see nameOf; or empty
-- ARGV[9]   the note of the block, sealed; or empty: then a block that there
--           was keeps its note
-- ARGV[10]  the roles on which the caller based its decision, see rolesChanged
--
-- Returns  {DONE, roles}  also if it was so before
--          {STALE}        the account has other roles: read again
--          {DAMAGED}
local block, name, note, expected = tonumber(ARGV[7]), ARGV[8], ARGV[9], ARGV[10]

local before = loadReply(account.cache)
if before then return before end
local raw = redis.call('GET', change.record)
if not raw and block == 0 then return saveReply(account.cache, {DONE, ''}) end
raw = raw or BLANK_RECORD
if not wellFormed(raw) then return {DAMAGED} end
local rec = open(raw)
name = nameOf(rec, name)
local flags = number(raw, F.head.flags)
local blocked = flags % (2 * BLOCKED_FLAG)
if rolesChanged(rec.roles, expected) then return {STALE} end
if blocked == block and note == '' then -- by another change
  -- First, since it begins with a write that needs no memory.
  saveReply(account.cache, {DONE, rec.roles})
  updateRegistry(change, rec, name)
  return {DONE, rec.roles}
end

local ended, blocked_at, event = 0, 0, EVENT_UNBLOCKED
if block == 1 then
  blocked_at, event = blocked == 1 and number(raw, F.head.blocked_at) or change.now, EVENT_BLOCKED
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
updateRegistry(change, rec, name)
dropText(change, NOTE_TEXT)
if note ~= '' then saveText(change, rec, NOTE_TEXT, note) end
return saveReply(account.cache, {DONE, rec.roles})
