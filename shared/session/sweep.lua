-- Sweeps a few subjects of one bucket: each session whose deadline has passed ends, by that and at that time, with its
-- event and its counters. Who has no live session leaves the index; who has is found again at the first deadline.
-- KEYS[1]  the bucket's counters
-- KEYS[2…] of each subject in turn: the part of the bucket's index where it stands, the record, the activity
-- ARGV[1]  now, ms
-- ARGV[2]  how many events an activity holds; 0 for none
-- ARGV[3]  for how long, ms
-- ARGV[4…] of each subject in turn: operation, 6 bytes, and user id
-- Returns  {DONE, damaged, due, counters}   how many records are of no known form, which are left alone and looked at again
--                                           in an hour; how many subjects have more that is due; and the counters, where
--                                           one ended
local counters, now, cap, keep = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]

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
local subjects, swept, damaged, more = {}, {}, 0, 0
for i = 1, (#KEYS - 1) / 3 do
  local id = ARGV[3 + i]
  local k = {
    counters = counters, part = KEYS[3 * i - 1], record = KEYS[3 * i], activity = KEYS[3 * i + 1],
    now = now, op = sub(id, 1, 6), user = sub(id, 7), detail = '', cap = cap, keep = keep, noted = {},
  }
  subjects[i] = k
  local raw = redis.pcall('GET', k.record)
  if raw and (type(raw) ~= 'string' or not sound(raw)) then
    damaged = damaged + 1
    k.due = string.format('%.0f', now + DAY / 24)
  elseif raw then
    k.rec = open(raw)
    sweep(k, k.rec)
    if #k.rec.live > 0 then
      k.due = earliest(k.rec)
      if tonumber(k.due) <= now then more = more + 1 end
    end
  end
end

for _, k in ipairs(subjects) do
  if k.rec and #k.rec.gone > 0 then
    flush(k) -- before the change, see save
    write(k, k.rec)
    swept[#swept + 1] = k.rec
  end
  if k.due then
    sure('ZADD', k.part, 'XX', k.due, k.user)
  else
    sure('ZREM', k.part, k.user)
  end
end
-- What is the bucket's is written once for all of them, which costs hardly more than for one.
local sums = ''
if #swept > 0 then
  sums = tally(subjects[1], swept)
elseif #told > 0 then
  sums = redis.call('GET', counters) -- as it was told before
end
return {DONE, damaged, more, sums}
