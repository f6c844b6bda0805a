-- Erases the name of an account from the audit list: that of the admin, and
-- that of the account that an entry is about. The user ids stay. Entries of an
-- unknown format are dropped, since they might have the name.
--
-- KEYS[1]  the list, see auditlist.go
-- ARGV[1]  user id, 16 bytes
-- ARGV[2]  now, ms
-- ARGV[3]  how long entries are kept, ms
--
-- Returns  {DONE}
local list, user, now, keep = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local stored = callOrReset('LRANGE', list, 0, -1)
local kept, changed = {}, false
for i = #stored, 1, -1 do
  local entry = withoutName(stored[i], user)
  kept[#kept + 1] = entry
  changed = changed or entry ~= stored[i]
end
if not changed then return {DONE} end

redis.call('UNLINK', list) -- allowed if memory is full, and so is what follows; see save
for i = 1, #kept, AUDIT_PUSHED do
  redis.call('LPUSH', list, unpack(kept, i, math.min(i + AUDIT_PUSHED - 1, #kept)))
end
if #kept > 0 then
  local age = now - number(kept[#kept], F.action.time)
  redis.call('PEXPIRE', list, math.max(1, keep - age))
end
return {DONE}
