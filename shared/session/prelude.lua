-- Put in front of every script: the layout of a subject's record (record.go describes it), and what several scripts do.
-- Numbers are big endian; times are Unix milliseconds in six bytes; offsets count from 0. Comparing binary strings for
-- equality is exact; for order they are decoded, since < on strings follows the locale.

local HEAD, LIVE, ENDED = 34, 185, 35
local REMEMBERED, MOST = 16, 255            -- ended sessions kept, and how many with those that ended of late
local HOUR, DAY = 3600000, 86400000
local LATE = HOUR / 4                       -- longer than a nonce may be spent, or a request be under way
local RETENTION = 90 * DAY                  -- of a record after its last session
local MEMORY = HOUR / 12                    -- of an operation's answer: longer than a request may be under way; see remember

-- Outcomes that many scripts share. The others stand in the script that has them.
local UNKNOWN, DONE, OVER, DAMAGED, STALE = 0, 1, 2, 9, 10
local IDLE_TIMEOUT, ABSOLUTE_TIMEOUT, HIJACK_SUSPECTED = 2, 3, 8 -- reasons, as in errors.go
local EVENT_ENDED, EVENT_DEVICE, EVENT_NETWORK = 3, 5, 6 -- types of events, as in event.go
local OFF, LOG, STEP_UP, REVOKE = 0, 1, 2, 3 -- policies, as in session.go
local COUNTS, CHAIN, CELL = 20, 11, 7       -- of a bucket's counters, see counters.go
local LOGINS, RENEWALS = 0, 255             -- the kinds of flow that are not a reason
local HOURS = 25                            -- that flows are kept, beside the one under way
local COMPACT = 128                         -- members up to which a sorted set stays compact
local HELD, DEVICE_ID = 1, 2                -- flags of a session

local byte, sub, char, floor = string.byte, string.sub, string.char, math.floor

-- num reads an unsigned number of that many bytes. Scripts do nothing more often: the usual widths need no loop.
local function num(s, at, width)
  if width == 6 then
    local a, b, c, d, e, f = byte(s, at + 1, at + 6)
    return ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
  elseif width == 3 then
    local a, b, c = byte(s, at + 1, at + 3)
    return (a * 256 + b) * 256 + c
  end
  local n = 0
  for i = at + 1, at + width do n = n * 256 + byte(s, i) end
  return n
end

-- bin writes a number into that many bytes.
local function bin(n, width)
  if width == 6 then
    return char(floor(n / 2^40) % 256, floor(n / 2^32) % 256, floor(n / 2^24) % 256, floor(n / 2^16) % 256,
      floor(n / 2^8) % 256, n % 256)
  elseif width == 3 then
    return char(floor(n / 2^16) % 256, floor(n / 2^8) % 256, n % 256)
  end
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

-- sure is redis.call for what stands beside a record. Where that is of another type, which nothing of ours has made it, it
-- begins anew: a script does not roll back, so what is damaged there must not stop a change half way, and no end at all.
local function sure(command, key, ...)
  local done = redis.pcall(command, key, ...)
  if type(done) ~= 'table' or not done.err then return done end
  if string.find(done.err, 'WRONGTYPE', 1, true) then redis.call('UNLINK', key) end
  return redis.call(command, key, ...)
end

-- subject names what every script that changes a record is given, in this order.
-- KEYS[1]  the record       KEYS[2]  the bucket's counters
-- KEYS[3]  the bucket's index, the part that is filled first, and KEYS[4] the part that is this subject's own
-- KEYS[5]  the subject's activity
-- ARGV[1]  now, ms          ARGV[2]  operation, 6 bytes          ARGV[3]  the subject's user id, 16 bytes
-- ARGV[4]  who asks, sealed, or empty
-- ARGV[5]  how many events the activity holds; 0 for none        ARGV[6]  for how long, ms
local function subject()
  return {
    record = KEYS[1], counters = KEYS[2], base = KEYS[3], own = KEYS[4], activity = KEYS[5],
    now = tonumber(ARGV[1]), op = ARGV[2], user = ARGV[3], detail = ARGV[4], cap = tonumber(ARGV[5]), keep = ARGV[6],
    noted = {},
  }
end

-- told are the events of this call: user id and head of each.
local told = {}

-- note adds an event: its head is type 1, time 6, operation 6, number within the operation 1, session 16, and what it says
-- more: a reason, or a policy. Who asked goes with it, unless it is about nobody's doing.
local function note(k, kind, random, what, at, detail)
  local head = char(kind) .. bin(at or k.now, 6) .. k.op .. char(#k.noted % 256) .. random .. char(what)
  k.noted[#k.noted + 1] = head .. (detail or k.detail)
  told[#told + 1] = k.user .. head
end

-- no_session stands for the session in events that are about the account.
local no_session = string.rep(char(0), 16)

-- flush writes what was noted into the activity, newest first. No event is without its change, and no change without its
-- event.
local function flush(k)
  if k.cap == 0 or #k.noted == 0 then return end
  for _, event in ipairs(k.noted) do sure('LPUSH', k.activity, event) end
  redis.call('LTRIM', k.activity, 0, k.cap - 1)
  local last = redis.call('LINDEX', k.activity, -1)
  while last and (#last < 31 or num(last, 1, 6) <= k.now - tonumber(k.keep)) do -- no event, or older than it may be kept
    redis.call('RPOP', k.activity)
    last = redis.call('LINDEX', k.activity, -1)
  end
  redis.call('PEXPIRE', k.activity, k.keep)
end

-- repeated tells again what this very operation told when it ran before and its reply was lost; returns how much.
local function repeated(k)
  local all = sure('LRANGE', k.activity, 0, 127)
  for i = #all, 1, -1 do
    if sub(all[i], 8, 13) == k.op then told[#told + 1] = k.user .. sub(all[i], 1, 31) end
  end
  return #told
end

-- over_again passes on the answer about a session that is over. What this very operation did before is told again: it may
-- have ended it, or have changed it before another did.
local function over_again(k, answer)
  repeated(k)
  return answer
end

-- remember keeps an operation's answer and events for as long as it may come once more: where nothing that is stored for good
-- would tell the operation's own repeat from a change that came in between. A lost reply is asked for again within seconds;
-- the first request may still arrive as long as TCP tries to deliver it, some two minutes after its caller has gone. See known.
local function remember(memory, answer)
  local parts = {table.concat(told)}
  for _, value in ipairs(answer) do
    parts[#parts + 1] = type(value) == 'number' and 'i' .. string.format('%.0f', value) or 's' .. value
  end
  for i, part in ipairs(parts) do parts[i] = bin(#part, 4) .. part end
  redis.call('UNLINK', memory) -- with memory full this needs none, and lets what follows pass; see save
  redis.call('SET', memory, table.concat(parts), 'PX', MEMORY)
  return answer
end

-- known returns what this very operation answered when it ran before, and tells its events again; nil where it did not run.
local function known(memory)
  local raw = redis.call('GET', memory)
  if not raw then return nil end
  local answer, at = {}, 0
  while at < #raw do
    local size = num(raw, at, 4)
    local part = sub(raw, at + 5, at + 4 + size)
    if at == 0 then
      told[1] = part
    else
      answer[#answer + 1] = byte(part) == 105 and tonumber(sub(part, 2)) or sub(part, 2)
    end
    at = at + 4 + size
  end
  return answer
end

-- other_roles tells whether an account's roles are not those that the caller decided by: '=' and the roles, or empty
-- where they do not matter.
local function other_roles(roles, expected) return expected ~= '' and '=' .. roles ~= expected end

-- extended is the idle end of an entry that is active now: never earlier than it was, nor behind the absolute end.
local function extended(entry, now, idle)
  return math.max(num(entry, 28, 6), math.min(now + idle, num(entry, 34, 6)))
end

-- shown is the one of the caller's two device hashes that an entry is compared with; empty where there is none, as where
-- the request could show no device, or where only the first is given, since it could show no id.
local function shown(entry, devices)
  if devices == '' then return '' end
  return byte(entry, 175) % 4 >= DEVICE_ID and sub(devices, 9, 16) or sub(devices, 1, 8)
end

-- open takes a sound record apart: head is the fixed part up to the lengths, live and ended are lists of raw entries.
local function open(raw)
  local rec = {head = sub(raw, 1, 31), live = {}, ended = {}, gone = {}}
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
  rec.was = #rec.live
  return rec
end

-- blank is the record of a subject of which nothing is stored.
local function blank() return char(1) .. string.rep(char(0), HEAD - 1) end

-- flagged is a record's head with its flags, its blocking time and its last operation.
local function flagged(head, flags, blocked_at, op, count)
  return sub(head, 1, 1) .. char(flags) .. sub(head, 3, 18) .. blocked_at .. op .. char(count)
end

-- finish moves live session number i to the ended ones, with its event. One whose deadline has passed ended then, by
-- that and by nobody's doing; returns the reason and the time that hold.
local function finish(k, rec, i, reason)
  local entry, at, detail = table.remove(rec.live, i), k.now, k.detail
  local passed, deadline = due(entry, 0, k.now)
  if passed then reason, at, detail = passed, deadline, '' end
  -- One that nobody has swept for a day ends late: it is remembered from now, or a lost reply could not be told again.
  local forget = math.max(num(entry, 34, 6), k.now) + DAY
  rec.ended[#rec.ended + 1] = sub(entry, 1, 16) .. char(reason) .. bin(at, 6) .. bin(forget, 6) .. k.op
  rec.gone[#rec.gone + 1] = entry
  note(k, EVENT_ENDED, sub(entry, 1, 16), reason, at, detail)
  return reason, at
end

-- finish_where finishes the live sessions that test picks, first to last; returns how many ended for that reason, and
-- the reason and the time of the last.
local function finish_where(k, rec, test, reason)
  local i, count, why, at = 1, 0, nil, nil
  while i <= #rec.live do
    if test(rec.live[i]) then
      why, at = finish(k, rec, i, reason)
      if why == reason then count = count + 1 end
    else
      i = i + 1
    end
  end
  return count, why, at
end

-- bump counts one more of a kind in an hour. Cells stand in the order of their hours, so what is written now stands at
-- the end.
local function bump(cells, hour, kind)
  local at = #cells
  while at >= CELL do
    local h = num(cells, at - CELL, 3)
    if h < hour then break end
    if h == hour and byte(cells, at - CELL + 4) == kind then
      local n = math.min(num(cells, at - 3, 3) + 1, 16777215)
      return sub(cells, 1, at - 3) .. bin(n, 3) .. sub(cells, at + 1)
    end
    at = at - CELL
  end
  return sub(cells, 1, at) .. bin(hour, 3) .. char(kind) .. bin(1, 3) .. sub(cells, at + 1)
end

-- counted takes a bucket's counters apart. Damaged ones count from zero: the sweeper's recount mends them.
local function counted(raw)
  local c = {n = {0, 0, 0, 0, 0, 0}, chains = {}, cells = ''}
  if type(raw) ~= 'string' or #raw < COUNTS or byte(raw, 1) ~= 1 then return c end
  local flows = #raw - COUNTS - byte(raw, COUNTS) * CHAIN
  if flows < 0 or flows % CELL ~= 0 then return c end
  for i = 1, 6 do c.n[i] = num(raw, 3 * i - 2, 3) end
  local at = COUNTS
  for i = 1, byte(raw, COUNTS) do
    c.chains[i] = {sub(raw, at + 1, at + 8), num(raw, at + 8, 3)}
    at = at + CHAIN
  end
  c.cells = sub(raw, at + 1)
  return c
end

-- count adds a session to the live counts, or takes it away.
local function count(c, entry, by)
  local transport, class = byte(entry, 184), byte(entry, 185)
  c.n[1] = c.n[1] + by
  if transport == 1 then c.n[3] = c.n[3] + by end
  if class >= 1 and class <= 3 then c.n[3 + class] = c.n[3 + class] + by end
  local chain = sub(entry, 176, 183)
  for i, pair in ipairs(c.chains) do
    if pair[1] == chain then
      pair[2] = pair[2] + by
      if pair[2] <= 0 then table.remove(c.chains, i) end
      return
    end
  end
  if by > 0 and #c.chains < 255 then c.chains[#c.chains + 1] = {chain, by} end
end

-- changed tells whether something of what is counted changed in a record.
local function changed(rec) return #rec.gone > 0 or rec.added or rec.replaced end

-- tally keeps the bucket's counters in step with what this script does to records: the sessions that end, and the one
-- that begins or takes another's place. It returns what they are then.
local function tally(k, changes)
  local c = counted(redis.pcall('GET', k.counters))
  local hour = floor(k.now / HOUR)
  local old = 0
  while old + CELL <= #c.cells and num(c.cells, old, 3) < hour - HOURS do old = old + CELL end
  c.cells = sub(c.cells, old + 1)
  for _, rec in ipairs(changes) do
    for i, entry in ipairs(rec.gone) do
      count(c, entry, -1)
      local ending = rec.ended[#rec.ended - #rec.gone + i]
      c.cells = bump(c.cells, hour, byte(ending, 17))
    end
    if rec.replaced then count(c, rec.replaced, -1) end
    if rec.added then
      count(c, rec.added, 1)
      -- A renewal is counted so that every change of the live counts changes a flow: a recount relies on that.
      c.cells = bump(c.cells, hour, rec.replaced and RENEWALS or LOGINS)
    end
    if rec.was == 0 and #rec.live > 0 then c.n[2] = c.n[2] + 1 end
    if rec.was > 0 and #rec.live == 0 then c.n[2] = c.n[2] - 1 end
  end
  local out = {char(1)}
  for _, n in ipairs(c.n) do out[#out + 1] = bin(math.max(n, 0), 3) end
  out[#out + 1] = char(#c.chains)
  for _, pair in ipairs(c.chains) do out[#out + 1] = pair[1] .. bin(pair[2], 3) end
  local raw = table.concat(out) .. c.cells
  redis.call('SET', k.counters, raw)
  return raw
end

-- earliest is the first deadline of a record's live sessions. The idle end never lies behind the absolute end.
local function earliest(rec)
  local least
  for _, entry in ipairs(rec.live) do
    local idle = num(entry, 28, 6)
    if not least or idle < least then least = idle end
  end
  return string.format('%.0f', least)
end

-- place keeps the bucket's index in step: the subject stands there while it has a live session, no later than its first
-- deadline. Touching moves no deadline there; the sweeper does when it comes by.
local function place(k, rec)
  if #rec.live == 0 then
    if rec.was > 0 then
      sure('ZREM', k.base, k.user)
      sure('ZREM', k.own, k.user)
    end
    return
  end
  if not rec.added or rec.replaced then return end
  local part = k.base
  if not sure('ZSCORE', k.base, k.user) then
    if sure('ZSCORE', k.own, k.user) or sure('ZCARD', k.base) >= COMPACT then part = k.own end
  end
  sure('ZADD', part, 'LT', earliest(rec), k.user)
end

-- forget forgets ended sessions: those whose time is over, and beyond the sixteen latest those that ended longer ago than a
-- login may be under way. Until then one that arrives once more, or whose nonce a failover has un-spent, must meet its mark:
-- else it would bring its session back.
local function forget(k, rec)
  for i = #rec.ended, 1, -1 do
    if num(rec.ended[i], 23, 6) <= k.now then table.remove(rec.ended, i) end
  end
  local function spare() return #rec.ended > REMEMBERED and not rec.erased and num(rec.ended[1], 17, 6) <= k.now - LATE end
  while #rec.ended > MOST or spare() do table.remove(rec.ended, 1) end
end

-- write writes a record back. One that holds a block, preferences or roles stays for good; any other outlasts its last
-- session by the retention, and one that was erased the marks of what has ended.
local function write(k, rec)
  forget(k, rec)
  local body = rec.head .. char(#rec.roles) .. char(#rec.live) .. char(#rec.ended) .. rec.roles
    .. table.concat(rec.live) .. table.concat(rec.ended)
  if byte(rec.head, 2) ~= 0 or #rec.roles > 0 then
    redis.call('SET', k.record, body)
  else
    local last = k.now
    for _, entry in ipairs(rec.live) do last = math.max(last, num(entry, 34, 6)) end
    local keep = last - k.now + RETENTION
    if rec.erased then
      keep = DAY / 1440 -- a lost reply is asked for again within a minute
      for _, entry in ipairs(rec.ended) do keep = math.max(keep, num(entry, 23, 6) - k.now) end
    end
    redis.call('SET', k.record, body, 'PX', string.format('%.0f', keep))
  end
end

-- save writes a record back, and in the same step what follows from it: counters, index, activity.
local function save(k, rec)
  -- Redis with its memory full refuses a script's first write, if that may need memory, and none after it, so that no
  -- script stops half way. What ends or holds a session must not be refused: it begins with a write that needs none.
  if #rec.gone > 0 or rec.must then redis.call('PERSIST', k.record) end
  flush(k) -- before the change: one whose event cannot be written does not happen
  if changed(rec) then tally(k, {rec}) end
  write(k, rec)
  place(k, rec)
end

-- over ends one listed session and returns the answer that says so. Unlinking needs no memory, and by itself closes the
-- session; see save.
local function over(k, payload, state, raw, random, reason)
  local rec = open(raw)
  local _, why, at = finish_where(k, rec, function(e) return sub(e, 1, 16) == random end, reason)
  redis.call('UNLINK', payload, state)
  save(k, rec)
  return {OVER, why, at, 1}
end

-- judge compares the caller with what a session is bound to. It returns the entry with a new verdict in it and what the
-- verdict is: nil for none, else the strictest policy that a change met. devices are two hashes, without and with the
-- id that the client sent; they, and network, are empty where the request could show none. The first change is written down at once, and
-- after it one more each touch interval: settled tells that the last is over. So nobody pushes everything else out of the
-- activity by changing to and fro.
local function judge(k, entry, policies, devices, network, settled)
  local flags, worst = byte(entry, 175), nil
  local function meet(policy, event, bound, last, seen)
    if policy == OFF or seen == '' or seen == bound then return last end
    local held = flags % 2 == HELD
    if policy == LOG or policy == STEP_UP and held then
      if seen == last or last ~= bound and not settled then return last end
    elseif policy == STEP_UP then
      flags = flags + HELD
    end
    if not worst or policy > worst then worst = policy end
    if policy ~= REVOKE then note(k, event, sub(entry, 1, 16), policy) end
    return seen
  end
  local device = shown(entry, devices)
  local last_device = meet(byte(policies, 1), EVENT_DEVICE, sub(entry, 137, 144), sub(entry, 153, 160), device)
  local last_network = meet(byte(policies, 2), EVENT_NETWORK, sub(entry, 145, 152), sub(entry, 161, 168), network)
  if not worst then return entry, nil end
  return sub(entry, 1, 152) .. last_device .. last_network .. sub(entry, 169, 174) .. char(flags) .. sub(entry, 176), worst
end

-- replace puts an entry in the place of the one of the same session.
local function replace(rec, entry)
  for i, e in ipairs(rec.live) do
    if sub(e, 1, 16) == sub(entry, 1, 16) then rec.live[i] = entry end
  end
end
