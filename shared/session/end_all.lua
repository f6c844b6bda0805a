-- Ends every session of a subject, or all but one.
-- KEYS[1..5], ARGV[1..6]  see subject
-- ARGV[7]  reason, a number
-- ARGV[8]  random of one that must be listed or remembered: without it nothing is done; or empty
-- ARGV[9]  random of one that is spared, or empty
-- Returns  {DONE, count}      ended by this operation, now or when it asked before
--          {UNKNOWN}          no record, or the one that ARGV[8] asks for is not in it
--          {DAMAGED}
local k, reason, witness, spared = subject(), tonumber(ARGV[7]), ARGV[8], ARGV[9]

local raw = redis.call('GET', k.record)
if not raw then return {UNKNOWN} end
if not sound(raw) then return {DAMAGED} end
local before = repeated(k)
if changed_by(raw, k.op) then return {DONE, byte(raw, 31)} end
if before > 0 then -- and something else has changed it since
  local ended = 0
  for _, event in ipairs(told) do ended = ended + (byte(event, -1) == reason and 1 or 0) end
  return {DONE, ended}
end
if witness ~= '' then
  local _, answer = listed(raw, witness, k.now, k.op)
  if answer and answer[1] ~= OVER then return answer end
end

local rec = open(raw)
local function is_witness(e) return sub(e, 1, 16) == witness end
local function other(e) return not is_witness(e) and sub(e, 1, 16) ~= spared end
local ended = finish_where(k, rec, other, reason)
if witness ~= '' then ended = ended + finish_where(k, rec, is_witness, reason) end -- last, so that it is surely remembered
rec.head = flagged(rec.head, byte(rec.head, 2), sub(rec.head, 19, 24), k.op, ended)
rec.head = sub(rec.head, 1, 14) .. bin(num(rec.head, 14, 4) + 1, 4) .. sub(rec.head, 19)
rec.must = true
save(k, rec)
return {DONE, ended}
