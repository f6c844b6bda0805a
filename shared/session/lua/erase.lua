-- Erases an account: its sessions, roles, preferences, state and activity. What
-- remains is a block, if there is one, and the ended sessions for as long as
-- they are needed.
--
-- KEYS[1..5], ARGV[1..6]  see lib/subject.lua
-- KEYS[6..10]             see lib/account.lua
-- KEYS[11]  the preferences
-- KEYS[12..] payload and state of each session that the caller knows of
-- ARGV[7]   session parts of those sessions, 16 bytes each
-- ARGV[8]   the roles on which the caller based its decision, see rolesChanged
-- ARGV[9]   1 to erase even if there are sessions that the caller does not know
--           of: they end like all others
--
-- Returns  {DONE}     erased, by this change or before
--          {STALE}    there is a session that the caller does not know of, or
--                     the account has other roles: read again
--          {DAMAGED}
local sessions, expected, anyway = ARGV[7], ARGV[8], ARGV[9] == '1'
change.cap = 0 -- nothing remains of the activity, so it is not written either

-- unregister takes the account out of the registry. One that is blocked stays
-- there, without name and note.
local function unregister(rec)
  updateRegistry(change, rec, '')
  dropText(change, NAME_TEXT)
  dropText(change, NOTE_TEXT)
end

local before = loadReply(account.cache)
if before then return before end
local raw = redis.call('GET', change.record)
if not raw then
  redis.call('UNLINK', change.activity, unpack(KEYS, 11, change.keys))
  unregister(open(BLANK_RECORD))
  return saveReply(account.cache, {DONE})
end
if not wellFormed(raw) then return {DAMAGED} end
local rec = open(raw)
local known = {}
for at = 0, #sessions - SESSION_SIZE, SESSION_SIZE do known[get(sessions, at, F.session)] = true end
for _, entries in ipairs({rec.live, rec.ended}) do
  for _, e in ipairs(entries) do -- entries of both kinds begin with the session part
    if not known[get(e, F.session)] and not anyway then return {STALE} end
  end
end
if rolesChanged(rec.roles, expected) then return {STALE} end

redis.call('UNLINK', change.activity, unpack(KEYS, 11, change.keys))
local flags = number(raw, F.head.flags)
if number(raw, F.head.created) == 0 and #rec.live == 0 and rec.roles == ''
  and flags < PREFERENCES_FLAG then -- nothing to erase
  if flags ~= 0 then forgetLater(change, rec) end -- an earlier version has erased it
  unregister(rec)
  return saveReply(account.cache, {DONE})
end
local ended = endEntries(change, rec, function() return true end, ACCOUNT_ERASED)
emit(change, EVENT_ERASED, NO_SESSION, 0)
rec.roles = ''
rec.head = with(rec.head,
  F.head.flags, flags % (2 * BLOCKED_FLAG),
  F.head.created, 0,
  F.head.last_login, 0,
  F.head.epoch, number(raw, F.head.epoch) + 1,
  F.head.idem, change.idem,
  F.head.count, ended)
rec.required = true
save(change, rec)
unregister(rec)
return saveReply(account.cache, {DONE})
