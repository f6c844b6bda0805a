-- A partition's counters, whose layout counters.go describes: live counts, of
-- them the sessions of each chain, and hourly counts.

-- countHour adds one of a kind to the hourly counts. The cells are in the order
-- of their hours, so the cell that is written now is near the end.
local function countHour(cells, hour, kind)
  local at = #cells
  while at >= CELL_SIZE do
    local cell = at - CELL_SIZE
    local h = number(cells, cell, F.cell.hour)
    if h < hour then break end
    if h == hour and number(cells, cell, F.cell.kind) == kind then
      local n = math.min(number(cells, cell, F.cell.count) + 1, COUNT_MAX)
      return sub(cells, 1, cell + offset(F.cell.count)) .. pack(F.cell.count, n)
        .. sub(cells, at + 1)
    end
    at = cell
  end
  return sub(cells, 1, at) .. pack(F.cell.hour, hour, F.cell.kind, kind, F.cell.count, 1)
    .. sub(cells, at + 1)
end

-- decodeCounters reads counters. Damaged ones count from zero: the sweeper's
-- recount repairs them.
local function decodeCounters(raw)
  local chains, cells = 0, -1
  if type(raw) == 'string' and #raw >= COUNTERS_SIZE
    and number(raw, F.counters.format) == COUNTERS_FORMAT then
    chains = number(raw, F.counters.chains)
    cells = #raw - COUNTERS_SIZE - chains * CHAIN_SIZE
  end
  if cells < 0 or cells % CELL_SIZE ~= 0 then
    return {
      active = 0, users = 0, cookie = 0, desktop = 0, mobile = 0, tablet = 0,
      chains = {}, cells = '',
    }
  end
  local c = {
    active = number(raw, F.counters.active), users = number(raw, F.counters.users),
    cookie = number(raw, F.counters.cookie), desktop = number(raw, F.counters.desktop),
    mobile = number(raw, F.counters.mobile), tablet = number(raw, F.counters.tablet),
    chains = {},
  }
  local at = COUNTERS_SIZE
  for i = 1, chains do
    c.chains[i] = {get(raw, at, F.chain.id), number(raw, at, F.chain.count)}
    at = at + CHAIN_SIZE
  end
  c.cells = sub(raw, at + 1)
  return c
end

-- countLive adds a session to the live counts (by 1), or takes it away (by -1).
local function countLive(c, entry, by)
  local class = number(entry, F.class)
  c.active = c.active + by
  if number(entry, F.transport) % OF_CONTRACT == COOKIE then c.cookie = c.cookie + by end
  if class == DESKTOP then
    c.desktop = c.desktop + by
  elseif class == MOBILE then
    c.mobile = c.mobile + by
  elseif class == TABLET then
    c.tablet = c.tablet + by
  end
  local chain = get(entry, F.chain_id)
  for i, pair in ipairs(c.chains) do
    if pair[1] == chain then
      pair[2] = pair[2] + by
      if pair[2] <= 0 then table.remove(c.chains, i) end
      return
    end
  end
  if by > 0 and #c.chains < CHAINS_MAX then c.chains[#c.chains + 1] = {chain, by} end
end

-- countRecord counts what a change did to one record: the sessions that ended,
-- and the one that began or took the place of another.
local function countRecord(c, hour, rec)
  for i, entry in ipairs(rec.gone) do
    countLive(c, entry, -1)
    local ended = rec.ended[#rec.ended - #rec.gone + i]
    c.cells = countHour(c.cells, hour, number(ended, F.ended.reason))
  end
  if rec.replaced then countLive(c, rec.replaced, -1) end
  if rec.added then
    countLive(c, rec.added, 1)
    -- A step-up is counted so that every change of the live counts changes an
    -- hourly count, too: the recount relies on that.
    c.cells = countHour(c.cells, hour, rec.replaced and RENEWALS or LOGINS)
  end
  if rec.was == 0 and #rec.live > 0 then c.users = c.users + 1 end
  if rec.was > 0 and #rec.live == 0 then c.users = c.users - 1 end
end

-- encodeCounters writes counters. No count is below zero.
local function encodeCounters(c)
  local parts = {pack(
    F.counters.format, COUNTERS_FORMAT,
    F.counters.active, math.max(c.active, 0),
    F.counters.users, math.max(c.users, 0),
    F.counters.cookie, math.max(c.cookie, 0),
    F.counters.desktop, math.max(c.desktop, 0),
    F.counters.mobile, math.max(c.mobile, 0),
    F.counters.tablet, math.max(c.tablet, 0),
    F.counters.chains, #c.chains)}
  for _, pair in ipairs(c.chains) do
    parts[#parts + 1] = pack(F.chain.id, pair[1], F.chain.count, pair[2])
  end
  parts[#parts + 1] = c.cells
  return table.concat(parts)
end

-- updateCounters keeps the partition's counters in step with what this script
-- does to records, and returns the counters as they are then.
local function updateCounters(change, records)
  local c = decodeCounters(redis.pcall('GET', change.counters))
  local hour = floor(change.now / HOUR)
  local old = 0
  while old < #c.cells and number(c.cells, old, F.cell.hour) < hour - HOURS_KEPT do
    old = old + CELL_SIZE
  end
  c.cells = sub(c.cells, old + 1)
  for _, rec in ipairs(records) do countRecord(c, hour, rec) end
  local raw = encodeCounters(c)
  redis.call('SET', change.counters, raw)
  return raw
end
