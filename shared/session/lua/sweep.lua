-- Sweeps a few subjects of one partition: each session that has passed a
-- deadline ends, by that deadline and at that time, with its event and its
-- counters. Users without a live session leave the index; the others are found
-- again at their first deadline.
--
-- KEYS[1]   the partition's counters
-- KEYS[2..] of each subject in turn: its segment of the partition's index, the
--           record, the activity; then the outbox and its state, if ARGV[5] is
--           not empty
-- ARGV[1]   now, ms
-- ARGV[2]   how many events an activity holds; 0 for none
-- ARGV[3]   how long an activity is kept, ms
-- ARGV[4]   how long preferences are kept after a login, ms
-- ARGV[5]   what the outbox takes, see lib/subject.lua
-- ARGV[6..] of each subject in turn: idempotency key, 6 bytes, and user id
--
-- Returns  {DONE, damaged, due, counters}
--            damaged   how many records have no known layout; they are left
--                      alone and looked at again in an hour
--            due       how many subjects have more sessions to end
--            counters  the counters, if a session ended; else empty
local counters, now, cap, keep = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local preferences_keep, outgoing = tonumber(ARGV[4]), ARGV[5]
local outbox = outgoing ~= '' and KEYS[#KEYS - 1] or nil

-- emitEnded emits again what this change did to a record before its reply was
-- lost, and reports whether the record shows that it did anything.
local function emitEnded(change, rec)
  for _, e in ipairs(rec.ended) do
    if get(e, F.ended.idem) == change.idem then
      local reason, at = number(e, F.ended.reason), number(e, F.ended.at)
      emit(change, EVENT_ENDED, get(e, F.ended.session), reason, at, '')
    end
  end
  return #change.events > 0
end

-- sweepRecord ends what is due in one record: no more at a time than the record
-- keeps, or a lost reply could not be repeated.
local function sweepRecord(change, rec)
  if emitEnded(change, rec) then return end
  local function ends(e) return #rec.gone < ENDED_KEPT and expiry(e, 0, now) end
  endEntries(change, rec, ends, IDLE_TIMEOUT)
end

redis.call('PERSIST', counters) -- needs no memory, so that the other writes may; see save
local changes, swept, damaged, due = {}, {}, 0, 0
for i = 1, #ARGV - 6 do -- the last argument is not about a subject
  local subject = ARGV[5 + i]
  local change = {
    counters = counters,
    segment = KEYS[3 * i - 1], record = KEYS[3 * i], activity = KEYS[3 * i + 1],
    now = now, idem = get(subject, F.swept.idem), user = tail(subject, F.swept.user),
    actor = '', cap = cap, keep = keep, preferences_keep = preferences_keep, events = {},
    outgoing = outgoing, outbox = outbox, outbox_state = outbox and KEYS[#KEYS], queue = {},
  }
  changes[i] = change
  local raw = redis.pcall('GET', change.record)
  if raw and (type(raw) ~= 'string' or not wellFormed(raw)) then
    damaged = damaged + 1
    change.deadline = string.format('%.0f', now + HOUR)
  elseif raw then
    change.rec = open(raw)
    sweepRecord(change, change.rec)
    if #change.rec.live > 0 then
      change.deadline = earliest(change.rec)
      if tonumber(change.deadline) <= now then due = due + 1 end
    end
  end
end

for _, change in ipairs(changes) do
  if change.rec and #change.rec.gone > 0 then
    writeEvents(change) -- before the change, see save
    write(change, change.rec)
    swept[#swept + 1] = change.rec
  end
  if change.deadline then
    callOrReset('ZADD', change.segment, 'XX', change.deadline, change.user)
  else
    callOrReset('ZREM', change.segment, change.user)
  end
end
-- The counters are written once for all subjects, which costs hardly more than
-- for one.
local after = ''
if #swept > 0 then
  after = updateCounters(changes[1], swept)
elseif #emitted > 0 then
  after = redis.call('GET', counters) -- as they were returned before
end
return {DONE, damaged, due, after}
