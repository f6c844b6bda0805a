-- Ends every session of a subject, or all but one.
--
-- KEYS[1..5], ARGV[1..6]  see lib/subject.lua
-- KEYS[6..10]             see lib/account.lua
-- ARGV[7]   reason, a number
-- ARGV[8]   session part of the session that asks, which must be live or ended:
--           without it nothing is done; or empty
-- ARGV[9]   session part of the session that is spared, or empty
-- ARGV[10]  the roles on which the caller based its decision, see rolesChanged
--
-- Returns  {DONE, count}  how many live sessions this change ended, now or when
--                         it ran before; those past a deadline do not count
--          {STALE}        the account has other roles: read again
--          {UNKNOWN}      no record, or the session of ARGV[8] is not in it
--          {DAMAGED}
local reason, asking, spared, expected = tonumber(ARGV[7]), ARGV[8], ARGV[9], ARGV[10]

local before = loadReply(account.cache)
if before then return before end
local noop = wasNoop(change)
local raw = redis.call('GET', change.record)
if not raw then
  -- An earlier attempt may arrive when there is a record. It finds nothing to
  -- do, either.
  if asking == '' and not noop then saveNoop(change) end
  return {UNKNOWN}
end
if noop then return {DONE, 0} end
if not wellFormed(raw) then return {DAMAGED} end
if asking ~= '' then
  local _, reply = findListed(raw, asking, change.now, change.idem)
  if reply and reply[1] ~= ENDED then return reply end
end
local rec = open(raw)
if rolesChanged(rec.roles, expected) then return {STALE} end

local function isAsking(e) return get(e, F.session) == asking end
local function isOther(e) return not isAsking(e) and get(e, F.session) ~= spared end
local ended = endEntries(change, rec, isOther, reason)
if asking ~= '' then -- last, so that it is certainly among the ended sessions that are kept
  ended = ended + endEntries(change, rec, isAsking, reason)
end
if #rec.gone == 0 then -- nothing changes, and the record keeps its TTL
  saveNoop(change)
  return {DONE, 0}
end
rec.head = with(rec.head,
  F.head.epoch, number(rec.head, F.head.epoch) + 1,
  F.head.idem, change.idem,
  F.head.count, ended)
save(change, rec)
return saveReply(account.cache, {DONE, ended})
