-- Put in front of every script: the layout of a subject's record (record.go describes it), and what several scripts do.
-- Numbers are big endian; times are Unix milliseconds in six bytes; offsets count from 0. Comparing binary strings for
-- equality is exact; for order they are decoded, since < on strings follows the locale.

local HEAD, LIVE, ENDED = 34, 185, 35
local REMEMBERED = 16                       -- ended sessions kept
local DAY = 86400000
local RETENTION = 90 * DAY                  -- of a record after its last session

-- Outcomes that every script shares. The others stand in the script that has them.
local UNKNOWN, DONE, OVER, DAMAGED = 0, 1, 2, 9
local IDLE_TIMEOUT, ABSOLUTE_TIMEOUT = 2, 3 -- reasons, as in errors.go

local byte, sub, char, floor = string.byte, string.sub, string.char, math.floor

-- num reads an unsigned number of that many bytes.
local function num(s, at, width)
  local n = 0
  for i = at + 1, at + width do n = n * 256 + byte(s, i) end
  return n
end

-- bin writes a number into that many bytes.
local function bin(n, width)
  local out = {}
  for i = width, 1, -1 do
    out[i] = char(n % 256)
    n = floor(n / 256)
  end
  return table.concat(out)
end

-- sound tells whether a stored record is exactly one of this format.
local function sound(raw)
  return #raw >= HEAD and byte(raw, 1) == 1
    and #raw == HEAD + byte(raw, 32) + byte(raw, 33) * LIVE + byte(raw, 34) * ENDED
end

-- due returns the reason and the deadline that has passed for the entry at that offset, or nil. The idle end never lies
-- behind the absolute end.
local function due(raw, at, now)
  local idle, absolute = num(raw, at + 28, 6), num(raw, at + 34, 6)
  if now < idle and now < absolute then return nil end
  if idle < absolute then return IDLE_TIMEOUT, idle end
  return ABSOLUTE_TIMEOUT, absolute
end

-- listed returns the offset of a session in the list of the live ones, whether or not a deadline has passed; else nil
-- and the answer: UNKNOWN, DAMAGED, or OVER with reason, time and whether that very operation ended it.
local function listed(raw, random, now, op)
  if not raw then return nil, {UNKNOWN} end
  if not sound(raw) then return nil, {DAMAGED} end
  local first = HEAD + byte(raw, 32)
  local gone = first + byte(raw, 33) * LIVE
  for at = gone, #raw - ENDED, ENDED do
    if sub(raw, at + 1, at + 16) == random then
      if num(raw, at + 23, 6) <= now then return nil, {UNKNOWN} end
      local mine = sub(raw, at + 30, at + 35) == op and 1 or 0
      return nil, {OVER, byte(raw, at + 17), num(raw, at + 17, 6), mine}
    end
  end
  for at = first, gone - LIVE, LIVE do
    if sub(raw, at + 1, at + 16) == random then return at end
  end
  return nil, {UNKNOWN}
end

-- live is listed, for a session that may still act: one past a deadline is over.
local function live(raw, random, now, op)
  local at, answer = listed(raw, random, now, op)
  if not at then return nil, answer end
  local reason, deadline = due(raw, at, now)
  if reason then return nil, {OVER, reason, deadline, 0} end
  return at
end

-- open takes a sound record apart: head is the fixed part up to the lengths, live and ended are lists of raw entries.
local function open(raw)
  local rec = {head = sub(raw, 1, 31), live = {}, ended = {}}
  local at = HEAD + byte(raw, 32)
  rec.roles = sub(raw, HEAD + 1, at)
  for _ = 1, byte(raw, 33) do
    rec.live[#rec.live + 1] = sub(raw, at + 1, at + LIVE)
    at = at + LIVE
  end
  for _ = 1, byte(raw, 34) do
    rec.ended[#rec.ended + 1] = sub(raw, at + 1, at + ENDED)
    at = at + ENDED
  end
  return rec
end

-- finish moves live session number i to the ended ones. One whose deadline has passed ended then, and by that; returns
-- the reason and the time that hold.
local function finish(rec, i, reason, now, op)
  local entry = table.remove(rec.live, i)
  local passed, deadline = due(entry, 0, now)
  if passed then reason, now = passed, deadline end
  local forget = num(entry, 34, 6) + DAY
  rec.ended[#rec.ended + 1] = sub(entry, 1, 16) .. char(reason) .. bin(now, 6) .. bin(forget, 6) .. op
  return reason, now
end

-- finish_where finishes the live sessions that test picks, first to last; returns how many ended for that reason, and
-- the reason and the time of the last.
local function finish_where(rec, test, reason, now, op)
  local i, count, why, at = 1, 0, nil, nil
  while i <= #rec.live do
    if test(rec.live[i]) then
      why, at = finish(rec, i, reason, now, op)
      if why == reason then count = count + 1 end
    else
      i = i + 1
    end
  end
  return count, why, at
end

-- save writes a record back. One that holds a block, preferences or roles stays for good; any other outlasts its last
-- session by the retention.
local function save(key, rec, now)
  for i = #rec.ended, 1, -1 do
    if num(rec.ended[i], 23, 6) <= now then table.remove(rec.ended, i) end
  end
  while #rec.ended > REMEMBERED do table.remove(rec.ended, 1) end
  local body = rec.head .. char(#rec.roles) .. char(#rec.live) .. char(#rec.ended) .. rec.roles
    .. table.concat(rec.live) .. table.concat(rec.ended)
  if byte(rec.head, 2) ~= 0 or #rec.roles > 0 then return redis.call('SET', key, body) end
  local last = now
  for _, entry in ipairs(rec.live) do last = math.max(last, num(entry, 34, 6)) end
  redis.call('SET', key, body, 'PX', string.format('%.0f', last - now + RETENTION))
end

-- over ends one listed session and returns the answer that says so. An end must succeed with memory full. Redis refuses a
-- script's first write then, if it may need memory, and none after it, so that no script stops half way: unlinking comes
-- first, needs none, and by itself closes the session.
local function over(key, payload, raw, random, reason, now, op)
  local rec = open(raw)
  local _, why, at = finish_where(rec, function(e) return sub(e, 1, 16) == random end, reason, now, op)
  redis.call('UNLINK', payload)
  save(key, rec, now)
  return {OVER, why, at, 1}
end
