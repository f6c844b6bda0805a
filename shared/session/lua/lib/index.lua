-- A partition's index: the users with live sessions, by their first deadline.

-- earliest returns the first deadline of a record's live sessions, as Redis
-- takes it. The idle end is never later than the absolute end.
local function earliest(rec)
  local least
  for _, entry in ipairs(rec.live) do
    local idle = number(entry, F.idle)
    if not least or idle < least then least = idle end
  end
  return string.format('%.0f', least)
end

-- updateIndex keeps the index in step: a user is in it while they have a live
-- session, no later than at its first deadline. Activity moves no deadline
-- there; the sweeper does when it comes by.
local function updateIndex(change, rec)
  if #rec.live == 0 then
    if rec.was > 0 then
      callOrReset('ZREM', change.base, change.user)
      callOrReset('ZREM', change.own, change.user)
    end
    return
  end
  if not rec.added or rec.replaced then return end
  local segment = change.base
  if not callOrReset('ZSCORE', change.base, change.user) then
    if callOrReset('ZSCORE', change.own, change.user)
      or callOrReset('ZCARD', change.base) >= SEGMENT_COMPACT then
      segment = change.own
    end
  end
  callOrReset('ZADD', segment, 'LT', earliest(rec), change.user)
end
