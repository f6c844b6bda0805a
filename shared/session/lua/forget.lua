-- Forgets ended sessions whose time is past, in records of erased accounts that
-- have no TTL. A block and roles stay.
--
-- KEYS[1]   the partition's erased accounts, see lib/account.lua
-- KEYS[2..] the record of each subject in turn
-- ARGV[1]   now, ms
-- ARGV[2..] the user id of each subject in turn
--
-- Returns  {DONE}
local erased, now = KEYS[1], tonumber(ARGV[1])

for i = 2, #KEYS do
  local record, user = KEYS[i], ARGV[i]
  callOrReset('ZREM', erased, user) -- first, since it needs no memory; see save
  local raw = redis.pcall('GET', record)
  if type(raw) == 'string' and wellFormed(raw) then
    local change, rec = {now = now, user = user, erased = erased}, open(raw)
    local before = #rec.ended
    prune(change, rec)
    if #rec.ended < before then redis.call('SET', record, encode(rec), 'KEEPTTL') end
    forgetLater(change, rec)
  end
end
return {DONE}
