-- Ends every session of a subject.
-- KEYS[1]  the subject's record
-- ARGV[1]  now, ms
-- ARGV[2]  reason, a number
-- ARGV[3]  operation, 6 bytes
-- ARGV[4]  random of one that must be listed or remembered: without it nothing is done
-- Returns  {DONE, count}      ended by this operation, now or when it asked before
--          {UNKNOWN}          no record, or the one that ARGV[4] asks for is not in it
--          {DAMAGED}
local key, now, reason, op, witness = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]

local raw = redis.call('GET', key)
if not raw then return {UNKNOWN} end
if not sound(raw) then return {DAMAGED} end
if sub(raw, 25, 30) == op then return {DONE, byte(raw, 31)} end
local _, answer = listed(raw, witness, now, op)
if answer and answer[1] ~= OVER then return answer end

local rec = open(raw)
local function is_witness(e) return sub(e, 1, 16) == witness end
local others = finish_where(rec, function(e) return not is_witness(e) end, reason, now, op)
local count = others + finish_where(rec, is_witness, reason, now, op) -- last, so that it is surely remembered
rec.head = sub(rec.head, 1, 14) .. bin(num(rec.head, 14, 4) + 1, 4) .. sub(rec.head, 19, 24) .. op .. char(count)
redis.call('PERSIST', key) -- a write that needs no memory, so that the next may need some; see over
save(key, rec, now)
return {DONE, count}
