-- Erases an account: its sessions, roles, preferences, state and activity. What remains is a block, if there is one, and
-- the marks of ended sessions for as long as they tell anybody anything.
-- KEYS[1..5], ARGV[1..6]  see subject
-- KEYS[6]  this operation's answer, see remember
-- KEYS[7]  the preferences
-- KEYS[8..] payload and state of each session that the caller knows of
-- ARGV[7]  randoms of those sessions, 16 bytes each
-- ARGV[8]  the roles by which the caller decided, see other_roles
-- ARGV[9]  1 to erase also where there are sessions that the caller does not know of: they end like all others, and what is
--          sealed of them, which no key was declared for, goes by its TTL
-- Returns  {DONE}             erased, by this operation or before
--          {STALE}            a session lives that the caller does not know of, or the account has other roles: look again
--          {DAMAGED}
local ACCOUNT_ERASED = 10
local EVENT_ERASED = 10
local k, memory, randoms, anyway = subject(), KEYS[6], ARGV[7], ARGV[9] == '1'
k.cap = 0 -- of the activity nothing remains, so it is not written either

local before = known(memory)
if before then return before end
local raw = redis.call('GET', k.record)
if not raw then
  redis.call('UNLINK', k.activity, unpack(KEYS, 7, #KEYS))
  return remember(memory, {DONE})
end
if not sound(raw) then return {DAMAGED} end
local rec = open(raw)
local known = {}
for at = 1, #randoms, 16 do known[sub(randoms, at, at + 15)] = true end
for _, list in ipairs({rec.live, rec.ended}) do
  for _, e in ipairs(list) do
    if not known[sub(e, 1, 16)] and not anyway then return {STALE} end
  end
end
if other_roles(rec.roles, ARGV[8]) then return {STALE} end

redis.call('UNLINK', k.activity, unpack(KEYS, 7, #KEYS))
if num(raw, 2, 6) == 0 and #rec.live == 0 and rec.roles == '' and byte(raw, 2) < 2 then
  return remember(memory, {DONE}) -- nothing to erase
end
local ended = finish_where(k, rec, function() return true end, ACCOUNT_ERASED)
note(k, EVENT_ERASED, no_session, 0)
rec.roles, rec.erased = '', true
local blocked = byte(raw, 2) % 2
rec.head = char(1, blocked) .. bin(0, 12) .. bin(num(raw, 14, 4) + 1, 4) .. sub(raw, 19, 24) .. k.op .. char(ended)
rec.must = true
save(k, rec)
return remember(memory, {DONE})
