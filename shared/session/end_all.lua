-- Ends every session of a subject, or every other one.
-- KEYS[1]  the subject's record
-- ARGV[1]  now, ms
-- ARGV[2]  reason, a number
-- ARGV[3]  operation, 6 bytes
-- ARGV[4]  random of the one to spare, or empty
-- ARGV[5]  random of one that must be listed or remembered, or empty: without it nothing is done
-- Returns  {DONE, count}      ended by this operation, now or when it asked before
--          {UNKNOWN}          no record, or the one that ARGV[5] asks for is not in it
--          {OOM, count}      memory is full: nothing was changed, the payloads must be unlinked instead
--          {DAMAGED}
local OOM = 6
local key, now, reason, op, spare, witness = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]

local raw = redis.call('GET', key)
if not raw then return {UNKNOWN} end
if not sound(raw) then return {DAMAGED} end
if sub(raw, 25, 30) == op then return {DONE, byte(raw, 31)} end
if witness ~= '' then
  local _, answer = live(raw, witness, now, op)
  if answer and answer[1] ~= OVER then return answer end
end

local rec = open(raw)
local count = finish_where(rec, function(e) return sub(e, 1, 16) ~= spare end, reason, now, op)
rec.head = sub(rec.head, 1, 14) .. bin(num(rec.head, 14, 4) + 1, 4) .. sub(rec.head, 19, 24) .. op .. char(count)
local saved = save(redis.pcall, key, rec, now)
if type(saved) == 'table' and saved.err then
  if string.find(saved.err, 'OOM', 1, true) then return {OOM, count} end
  return saved
end
return {DONE, count}
