-- Renewing a live session: activity, refresh, step-up.

-- idleEnd returns the idle end of an entry that is active now: never earlier
-- than it was, nor later than the absolute end.
local function idleEnd(entry, now, idle)
  return math.max(number(entry, F.idle), math.min(now + idle, number(entry, F.absolute)))
end

-- replace puts an entry in the place of the entry of the same session.
local function replace(rec, entry)
  for i, e in ipairs(rec.live) do
    if get(e, F.session) == get(entry, F.session) then rec.live[i] = entry end
  end
end
