-- Ends every session of a subject, or all but one.
-- KEYS[1..5], ARGV[1..6]  see subject
-- KEYS[6]  this operation's answer, see remember
-- ARGV[7]  reason, a number
-- ARGV[8]  random of one that must be listed or remembered: without it nothing is done; or empty
-- ARGV[9]  random of one that is spared, or empty
-- ARGV[10] the roles by which the caller decided, see other_roles
-- Returns  {DONE, count}      ended by this operation, now or when it asked before
--          {STALE}            the account has other roles: look again
--          {UNKNOWN}          no record, or the one that ARGV[8] asks for is not in it
--          {DAMAGED}
local k, memory, reason, witness, spared = subject(), KEYS[6], tonumber(ARGV[7]), ARGV[8], ARGV[9]

local before = known(memory)
if before then return before end
local raw = redis.call('GET', k.record)
if not raw then return {UNKNOWN} end
if not sound(raw) then return {DAMAGED} end
if witness ~= '' then
  local _, answer = listed(raw, witness, k.now, k.op)
  if answer and answer[1] ~= OVER then return answer end
end
local rec = open(raw)
if other_roles(rec.roles, ARGV[10]) then return {STALE} end

local function is_witness(e) return sub(e, 1, 16) == witness end
local function other(e) return not is_witness(e) and sub(e, 1, 16) ~= spared end
local ended = finish_where(k, rec, other, reason)
if witness ~= '' then ended = ended + finish_where(k, rec, is_witness, reason) end -- last, so that it is surely remembered
if #rec.gone > 0 then -- else nothing changes: a record without sessions goes when it was to go
  rec.head = flagged(rec.head, byte(rec.head, 2), sub(rec.head, 19, 24), k.op, ended)
  rec.head = sub(rec.head, 1, 14) .. bin(num(rec.head, 14, 4) + 1, 4) .. sub(rec.head, 19)
  save(k, rec)
end
return remember(memory, {DONE, ended})
