-- Sweeps a few subjects of one bucket that stand in the same part of its index: each session whose deadline has passed
-- ends, by that and at that time, with its event and its counters. Who has no live session leaves the index; who has is
-- found again at the first deadline.
-- KEYS[1]  the bucket's counters
-- KEYS[2]  the part of the bucket's index
-- KEYS[3…] of each subject in turn: the record, the activity
-- ARGV[1]  now, ms
-- ARGV[2]  how many events an activity holds; 0 for none
-- ARGV[3]  for how long, ms
-- ARGV[4…] of each subject in turn: operation, 6 bytes, and user id
-- Returns  {DONE, damaged, due}   how many records are of no known form, which are left alone and looked at again in an
--                                 hour; and how many subjects have more that is due
local counters, part = KEYS[1], KEYS[2]
local now, cap, keep = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]

-- tell_again tells what this operation did to a record before its reply was lost; the record remembers it.
local function tell_again(k, rec)
  for _, e in ipairs(rec.ended) do
    if sub(e, 30, 35) == k.op then note(k, EVENT_ENDED, sub(e, 1, 16), byte(e, 17), num(e, 17, 6), '') end
  end
  return #k.noted > 0
end

-- sweep ends what is due in one record: no more at a time than it remembers, or a lost reply could not be told again.
local function sweep(k, rec)
  if tell_again(k, rec) then return end
  finish_where(k, rec, function(e) return #rec.gone < REMEMBERED and due(e, 0, now) end, IDLE_TIMEOUT)
end

redis.call('PERSIST', counters) -- a write that needs no memory, so that the others may need some; see save
local subjects, records, idle, later, damaged, more = {}, {}, {}, {}, 0, 0
for i = 1, #KEYS / 2 - 1 do
  local id = ARGV[3 + i]
  local k = {
    record = KEYS[2 * i + 1], counters = counters, activity = KEYS[2 * i + 2],
    now = now, op = sub(id, 1, 6), user = sub(id, 7), detail = '', cap = cap, keep = keep, noted = {},
  }
  local raw = redis.pcall('GET', k.record)
  if not raw then
    idle[#idle + 1] = k.user
  elseif type(raw) ~= 'string' or not sound(raw) then
    damaged = damaged + 1
    later[#later + 1], later[#later + 2] = string.format('%.0f', now + DAY / 24), k.user
  else
    local rec = open(raw)
    sweep(k, rec)
    if #rec.gone > 0 then subjects[#subjects + 1], records[#records + 1] = k, rec end
    if #rec.live == 0 then
      idle[#idle + 1] = k.user
    else
      local first = earliest(rec)
      if tonumber(first) <= now then more = more + 1 end
      later[#later + 1], later[#later + 2] = first, k.user
    end
  end
end

for i, rec in ipairs(records) do
  flush(subjects[i]) -- before the change, see save
  write(subjects[i], rec)
end
-- What is the bucket's is written once for all of them, which costs hardly more than for one.
if #records > 0 then tally(subjects[1], records) end
if #idle > 0 then sure('ZREM', part, unpack(idle)) end
if #later > 0 then sure('ZADD', part, 'XX', unpack(later)) end
return {DONE, damaged, more}
