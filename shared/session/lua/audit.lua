-- Adds an entry to the audit list, in front. If it is there already, the call
-- is a retry, and changes nothing.
--
-- KEYS[1]  the list, see auditlist.go
-- ARGV[1]  the entry
-- ARGV[2]  how long entries are kept, ms
-- ARGV[3]  for a further page of something that is looked at: how long ago, in
--          ms, the look may have been added that this one belongs to. It is
--          then not added again. Otherwise 0
--
-- Returns  {DONE}
local list, entry, keep, recent = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local now = number(entry, F.action.time)

-- continues reports whether the entry is a further page of the look that a
-- stored entry is about. The time of that may be later: clocks differ.
local function continues(stored)
  return recent > 0 and get(stored, F.action.what) == get(entry, F.action.what)
    and now - number(stored, F.action.time) < recent
end

for _, stored in ipairs(callOrReset('LRANGE', list, 0, EVENTS_READ_AGAIN - 1)) do
  if #stored >= ACTION_HEAD then
    local same = get(stored, F.action.idem) == get(entry, F.action.idem)
    if same or continues(stored) then return {DONE} end
  end
end

redis.call('PERSIST', list) -- needs no memory, so that the other writes may; see save
redis.call('LPUSH', list, entry)
redis.call('LTRIM', list, 0, AUDIT_MAX - 1)
-- Drop what is not an entry, or is older than entries are kept.
local last = redis.call('LINDEX', list, -1)
while #last < ACTION_HEAD or number(last, F.action.time) <= now - tonumber(keep) do
  redis.call('RPOP', list)
  last = redis.call('LINDEX', list, -1)
end
redis.call('PEXPIRE', list, keep)
return {DONE}
