-- Reading a subject's record, whose layout record.go describes. A position in a
-- record is the offset of an entry, counted from 0.

-- wellFormed reports whether a stored record has exactly the known layout.
local function wellFormed(raw)
  return #raw >= HEAD_SIZE and number(raw, F.head.format) == RECORD_FORMAT
    and #raw == HEAD_SIZE + number(raw, F.lengths.roles)
      + number(raw, F.lengths.live) * ENTRY_SIZE + number(raw, F.lengths.ended) * ENDED_SIZE
end

-- expiry returns the reason and the deadline that the entry at that offset has
-- passed, or nil. The idle end is never later than the absolute end.
local function expiry(raw, at, now)
  local idle, absolute = number(raw, at, F.idle), number(raw, at, F.absolute)
  if now < idle and now < absolute then return nil end
  if idle < absolute then return IDLE_TIMEOUT, idle end
  return ABSOLUTE_TIMEOUT, absolute
end

-- findListed returns the offset of a session among the live entries, whether or
-- not a deadline has passed. Otherwise it returns nil and the reply: UNKNOWN,
-- DAMAGED, or ENDED with reason, time and whether the change with this
-- idempotency key ended it.
local function findListed(raw, session, now, idem)
  if not raw then return nil, {UNKNOWN} end
  if not wellFormed(raw) then return nil, {DAMAGED} end
  local first = HEAD_SIZE + number(raw, F.lengths.roles)
  local ended = first + number(raw, F.lengths.live) * ENTRY_SIZE
  for at = ended, #raw - ENDED_SIZE, ENDED_SIZE do
    if get(raw, at, F.ended.session) == session then
      if number(raw, at, F.ended.keep_until) <= now then return nil, {UNKNOWN} end
      local mine = get(raw, at, F.ended.idem) == idem and 1 or 0
      return nil, {ENDED, number(raw, at, F.ended.reason), number(raw, at, F.ended.at), mine}
    end
  end
  for at = first, ended - ENTRY_SIZE, ENTRY_SIZE do
    if get(raw, at, F.session) == session then return at end
  end
  return nil, {UNKNOWN}
end

-- findLive is findListed for a session that must still be able to act: one that
-- has passed a deadline has ended.
local function findLive(raw, session, now, idem)
  local at, reply = findListed(raw, session, now, idem)
  if not at then return nil, reply end
  local reason, deadline = expiry(raw, at, now)
  if reason then return nil, {ENDED, reason, deadline, 0} end
  return at
end
