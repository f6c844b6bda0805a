-- Changing a record, and with it, in the same step, what follows from it.

-- open splits a well-formed record: head is the part before the lengths, live
-- and ended are lists of entries. gone collects the entries that end, and was
-- is how many were live. Scripts also set
--   added     an entry that is new
--   replaced  the entry whose place it takes
--   required  the change must be written even if memory is full
local function open(raw)
  local rec = {head = get(raw, F.head.head), live = {}, ended = {}, gone = {}}
  local at = HEAD_SIZE + number(raw, F.lengths.roles)
  rec.roles = sub(raw, HEAD_SIZE + 1, at)
  for _ = 1, number(raw, F.lengths.live) do
    rec.live[#rec.live + 1] = get(raw, at, F.entry)
    at = at + ENTRY_SIZE
  end
  for _ = 1, number(raw, F.lengths.ended) do
    rec.ended[#rec.ended + 1] = get(raw, at, F.ended.entry)
    at = at + ENDED_SIZE
  end
  rec.was = #rec.live
  return rec
end

-- encode returns a record as it is stored.
local function encode(rec)
  return rec.head
    .. pack(F.lengths.roles, #rec.roles, F.lengths.live, #rec.live, F.lengths.ended, #rec.ended)
    .. rec.roles .. table.concat(rec.live) .. table.concat(rec.ended)
end

-- isErased reports whether nobody has signed in to an account since it was
-- erased, or ever. It has no live session.
local function isErased(rec) return number(rec.head, F.head.created) == 0 end

-- keptUntil returns until when the ended sessions of a record are kept, or 0.
local function keptUntil(rec)
  local latest = 0
  for _, e in ipairs(rec.ended) do latest = math.max(latest, number(e, F.ended.keep_until)) end
  return latest
end

-- endEntry moves live session number i to the ended ones, with its event. A
-- session that has passed a deadline ended at that time, for that reason, and
-- nobody asked for it. It returns the reason and the time that apply.
local function endEntry(change, rec, i, reason)
  local entry, at, actor = table.remove(rec.live, i), change.now, nil
  local session = get(entry, F.session)
  local passed, deadline = expiry(entry, 0, change.now)
  if passed then reason, at, actor = passed, deadline, '' end
  -- A session may be swept more than a day after its deadline. It is kept for
  -- a day from now. Otherwise a lost reply could not be repeated.
  local keep_until = math.max(number(entry, F.absolute), change.now) + DAY
  rec.ended[#rec.ended + 1] = pack(
    F.ended.session, session,
    F.ended.reason, reason,
    F.ended.at, at,
    F.ended.keep_until, keep_until,
    F.ended.idem, change.idem)
  rec.gone[#rec.gone + 1] = entry
  emit(change, EVENT_ENDED, session, reason, at, actor, entry)
  return reason, at
end

-- endEntries ends the live sessions that test selects, first to last. It
-- returns how many ended for that reason, and reason and time of the last.
local function endEntries(change, rec, test, reason)
  local i, count, why, at = 1, 0, nil, nil
  while i <= #rec.live do
    if test(rec.live[i]) then
      why, at = endEntry(change, rec, i, reason)
      if why == reason then count = count + 1 end
    else
      i = i + 1
    end
  end
  return count, why, at
end

-- prune drops ended sessions: those that are past their time, and beyond the
-- latest ENDED_KEPT those that ended longer ago than a login may be under way.
-- Until then a login that arrives twice, or whose nonce a failover gave back,
-- must find the ended session. Otherwise it would create that session again.
local function prune(change, rec)
  for i = #rec.ended, 1, -1 do
    if number(rec.ended[i], F.ended.keep_until) <= change.now then table.remove(rec.ended, i) end
  end
  local function spare()
    return #rec.ended > ENDED_KEPT and not isErased(rec)
      and number(rec.ended[1], F.ended.at) <= change.now - LOGIN_UNDER_WAY
  end
  while #rec.ended > ENDED_MAX or spare() do table.remove(rec.ended, 1) end
end

-- hasPreferences reports whether a record has the flag of preferences. They may
-- have expired since.
local function hasPreferences(rec)
  return number(rec.head, F.head.flags) % (2 * PREFERENCES_FLAG) >= PREFERENCES_FLAG
end

-- setPreferencesFlag sets or clears that flag.
local function setPreferencesFlag(rec, stored)
  if stored == hasPreferences(rec) then return end
  local flags = number(rec.head, F.head.flags)
  rec.head = with(rec.head,
    F.head.flags, stored and flags + PREFERENCES_FLAG or flags - PREFERENCES_FLAG)
end

-- lastEnd returns when no live session of a record can be live any more; now if
-- it has none.
local function lastEnd(change, rec)
  local last = change.now
  for _, entry in ipairs(rec.live) do last = math.max(last, number(entry, F.absolute)) end
  return last
end

-- preferencesEnd returns until when an account's preferences are kept: for
-- preferences_keep after its last login, and longer than any session.
local function preferencesEnd(change, rec)
  local after_login = number(rec.head, F.head.last_login) + change.preferences_keep
  return math.max(after_login, lastEnd(change, rec) + DAY)
end

-- recordEnd returns until when a record is kept: for RETENTION after its last
-- session, and as long as preferences; or, if it was erased, as long as its
-- ended sessions are needed. It returns nil for one with a block or roles,
-- which has no TTL.
local function recordEnd(change, rec)
  local blocked = number(rec.head, F.head.flags) % (2 * BLOCKED_FLAG) >= BLOCKED_FLAG
  if blocked or #rec.roles > 0 then return nil end
  if isErased(rec) then
    -- A lost reply is asked for again within a minute.
    return math.max(change.now + MINUTE, keptUntil(rec))
  end
  local last = lastEnd(change, rec) + RETENTION
  if hasPreferences(rec) then last = math.max(last, preferencesEnd(change, rec)) end
  return last
end

-- ttl returns how long it is until a time, as Redis takes it.
local function ttl(change, time) return string.format('%.0f', time - change.now) end

-- forgetLater has the sweeper forget the ended sessions of an erased account,
-- whose record has no TTL that would do so; see forget.lua.
local function forgetLater(change, rec)
  if not change.erased or not isErased(rec) or #rec.ended == 0 then return end
  callOrReset('ZADD', change.erased, string.format('%.0f', keptUntil(rec)), change.user)
end

-- write writes a record back, with its TTL.
local function write(change, rec)
  prune(change, rec)
  local last = recordEnd(change, rec)
  if last then
    redis.call('SET', change.record, encode(rec), 'PX', ttl(change, last))
  else
    redis.call('SET', change.record, encode(rec))
    forgetLater(change, rec)
  end
end

-- save writes a record back, and in the same step what follows from it:
-- activity, counters, index.
local function save(change, rec)
  -- If its memory is full, Redis refuses a script's first write if that may
  -- need memory, and none after it, so that no script stops half way. What ends
  -- or restricts a session must not be refused: begin with a write that needs
  -- none.
  if #rec.gone > 0 or rec.required then redis.call('PERSIST', change.record) end
  writeEvents(change) -- before the change: if its event cannot be written it does not happen
  if #rec.gone > 0 or rec.added or rec.replaced then updateCounters(change, {rec}) end
  write(change, rec)
  updateIndex(change, rec)
end
